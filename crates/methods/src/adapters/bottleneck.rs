//! A bottleneck beside a block: `AdaptFormer` (Chen et al. 2022, arXiv:2205.13535).

use burn::Tensor;
use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::activation::relu;

use super::change::Change;
use super::site::Site;

/// `s·up(relu(down(x)))`, added to the output of a transformer's feed-forward block (equation 3).
///
/// The model adds it by calling [`parallel`](crate::parallel). It cannot be merged.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// `[width] → [bottleneck]`.
    pub down: Linear,
    /// `[bottleneck] → [width]`, 0 at the start.
    pub up: Linear,
    /// Dropout between them, in training only.
    pub dropout: Dropout,
    /// Factor `s`.
    #[module(skip)]
    pub scale: f64,
}

impl Bottleneck {
    /// What is added to the block's output, of the shape `[.., width]` of `x`.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let down = self.dropout.forward(relu(self.down.forward(x)));
        self.up.forward(down).mul_scalar(self.scale)
    }
}

impl Change for Bottleneck {
    const MERGES: bool = false;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }

    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        site.changed(x)
    }
}
