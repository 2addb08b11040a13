//! The adapters that sit on a layer's weight, through Burn's reparameterization seam.
//!
//! A weight is seen as a matrix `W` of `outputs × inputs`, a convolution's kernel flattened. Most
//! adapters add a `ΔW` of few numbers to it, some scale its rows or columns; both can be merged.
//! Two only ride along on a weight and change what happens around its layer.

mod bottleneck;
mod forward;
mod hadamard;
mod kronecker;
mod low_rank;
mod quantize;
mod scale;
mod sparse;
pub(crate) mod start;

use burn::Tensor;
use burn::module::{Module, Reparameterization};

pub use bottleneck::{Bottleneck, Prompts};
pub(crate) use forward::Site;
pub use forward::{conv2d, linear, parallel, prompted};
pub use hadamard::Hadamard;
pub use kronecker::Kronecker;
pub use low_rank::{Geometry, LowRank};
pub use quantize::Quantize;
pub(crate) use quantize::dense;
pub use scale::Scale;
pub use sparse::Sparse;

/// The weight of a layer as the matrix that an adapter changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightShape {
    /// Outputs: features or channels.
    pub outputs: usize,
    /// Inputs one output sees: `in` for Linear, `in / groups · kernel area` for a convolution.
    pub inputs: usize,
    /// Groups of a convolution; 1 for Linear.
    pub groups: usize,
    /// Kernel height and width; `None` for Linear.
    pub kernel: Option<[usize; 2]>,
}

impl WeightShape {
    /// Entries of the weight.
    #[must_use]
    pub fn size(&self) -> usize {
        self.outputs * self.inputs
    }

    /// A weight as `[outputs, inputs]`; Burn's Linear keeps `[in, out]`.
    #[must_use]
    pub fn matrix<const D: usize>(&self, weight: Tensor<D>) -> Tensor<2> {
        if self.kernel.is_some() {
            weight.reshape([self.outputs, self.inputs])
        } else {
            weight.reshape([self.inputs, self.outputs]).transpose()
        }
    }

    /// `[outputs, inputs]` in the weight's own shape.
    #[must_use]
    pub fn weight<const D: usize>(&self, matrix: Tensor<2>, shape: [usize; D]) -> Tensor<D> {
        if self.kernel.is_some() {
            matrix.reshape(shape)
        } else {
            matrix.transpose().reshape(shape)
        }
    }
}

/// A change of one weight, or around its layer. The model's path of an adapter's tensor is that of
/// the weight, `adapter` and the tensor's name, e.g. `layer1.0.conv1.weight.adapter.lora_a`.
#[derive(Module, Debug)]
pub enum Adapter {
    /// `W + s·B·A` and its relatives: LoRA, rsLoRA, DoRA, VeRA, AdaLoRA, the sparse shared method.
    LowRank(LowRank),
    /// `W + s·(B₁A₁ ⊙ B₂A₂)`: LoHa.
    Hadamard(Hadamard),
    /// `W + s·(C ⊗ D)`: LoKr.
    Kronecker(Kronecker),
    /// Some entries of `W`: SHiRA, GPS.
    Sparse(Sparse),
    /// The layer's inputs or outputs scaled, and shifted: (IA)³, SSF.
    Scale(Scale),
    /// A bottleneck beside a block: AdaptFormer.
    Bottleneck(Bottleneck),
    /// Tokens put before a block's: VPT.
    Prompts(Prompts),
}

impl Reparameterization for Adapter {
    const NAME: &'static str = "adapter";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let base = dense(base);
        let shape = base.dims();
        match self {
            Self::LowRank(adapter) => adapter.apply(base),
            Self::Hadamard(adapter) => base + adapter.shape.weight(adapter.delta(), shape),
            Self::Kronecker(adapter) => base + adapter.shape.weight(adapter.delta(), shape),
            Self::Sparse(adapter) => base + adapter.shape.weight(adapter.delta(), shape),
            Self::Scale(adapter) => adapter.apply(base),
            Self::Bottleneck(_) | Self::Prompts(_) => base,
        }
    }
}

impl Adapter {
    /// Whether merging the weight (and, for a scale, the bias) keeps all of the change.
    #[must_use]
    pub fn merges(&self) -> bool {
        !matches!(self, Self::Bottleneck(_) | Self::Prompts(_))
    }
}
