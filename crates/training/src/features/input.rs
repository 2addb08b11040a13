//! A batch as a model takes it: images, or cached features of them.

use burn::Tensor;
use burn::tensor::Int;
use finetune_data::{Batch, DataError, Loader};
use finetune_model::{Feature, Features};

use crate::classifier::Classifier;

/// A batch to train on or to validate with.
pub(crate) struct Input {
    pub(crate) start: Start,
    /// Index of each image's class, `[batch]`.
    pub(crate) labels: Tensor<1, Int>,
    /// Share of each class in each image, `[batch, classes]`, if images are mixed.
    pub(crate) shares: Option<Tensor<2>>,
}

/// What a forward pass starts from.
pub(crate) enum Start {
    /// Normalised images `[batch, 3, height, width]`.
    Images(Tensor<4>),
    /// The output of the first `stages` stages.
    Features { stages: usize, features: Features },
}

/// The batches of an epoch.
pub(crate) type Batches<'a> = Box<dyn Iterator<Item = Result<Input, DataError>> + 'a>;

/// The batches of a loader.
pub(crate) fn image_batches(loader: Loader<'_>) -> Batches<'_> {
    let input = |batch: Batch| Input {
        start: Start::Images(batch.images),
        labels: batch.labels,
        shares: batch.soft,
    };
    Box::new(loader.map(move |batch| batch.map(input)))
}

impl Start {
    /// The number of stages that are already computed, and the input of the next one.
    pub(crate) fn into_parts(self) -> (usize, Features) {
        match self {
            Self::Images(images) => (0, images.into()),
            Self::Features { stages, features } => (stages, features),
        }
    }

    /// The logits `[batch, classes]` of a model.
    pub(crate) fn logits<M: Classifier>(self, model: &M) -> Tensor<2> {
        match (self, model.staged()) {
            (Self::Images(images), _) => model.logits(images),
            (Self::Features { stages, features }, Some(network)) => {
                let count = network.stages().len();
                Tensor::of(network.forward_range(stages..count, features))
            }
            (Self::Features { .. }, None) => {
                unreachable!("features are only cached for models with stages")
            }
        }
    }
}
