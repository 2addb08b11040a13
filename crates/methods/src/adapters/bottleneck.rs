//! What stands beside a layer rather than in its weight: `AdaptFormer`'s bottleneck and `VPT`'s
//! prompts. The model says where they act, with [`parallel`](crate::parallel) and
//! [`prompted`](crate::prompted); they cannot be merged.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Dropout, Linear};
use burn::tensor::activation::relu;

/// `s·up(relu(down(x)))` beside a feed-forward block (Chen et al. 2022, "`AdaptFormer`",
/// arXiv:2205.13535, equation 3).
///
/// Parameters: `2·width·bottleneck + width + bottleneck` a block.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// `[width] → [bottleneck]`.
    pub down: Linear,
    /// `[bottleneck] → [width]`, 0 at the start.
    pub up: Linear,
    /// Dropout between them; off unless training.
    pub dropout: Dropout,
    /// Factor `s`.
    #[module(skip)]
    pub scale: f64,
}

impl Bottleneck {
    /// What is added to the block's output, of the shape of `x` `[.., width]`.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let down = self.dropout.forward(relu(self.down.forward(x)));
        self.up.forward(down).mul_scalar(self.scale)
    }
}

/// Trained tokens before a block's own (Jia et al. 2022, "Visual Prompt Tuning", arXiv:2203.12119,
/// equation 6, VPT-deep): they replace those of the block before.
///
/// Parameters: `count·width` a block.
#[derive(Module, Debug)]
pub struct Prompts {
    /// `[count, width]`.
    pub prompts: Param<Tensor<2>>,
}
