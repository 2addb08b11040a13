//! The models that this crate trains.

use burn::Tensor;
use burn::module::Module;
use finetune_model::{Network, Staged};

/// A module that classifies images.
pub trait Classifier: Module {
    /// Logits `[batch, classes]` of normalised images `[batch, 3, height, width]`.
    fn logits(&self, images: Tensor<4>) -> Tensor<2>;

    /// The same network as a sequence of stages. Only then can the features of its frozen stages be
    /// cached and its forward pass be split for gradient checkpointing.
    ///
    /// `None`, the default, is always right.
    fn staged(&self) -> Option<&dyn Staged> {
        None
    }
}

impl Classifier for Network {
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward(images)
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(self)
    }
}
