//! A weight seen as a matrix.

use burn::Tensor;

/// The size of a layer's weight as the matrix that an adapter changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightShape {
    /// Rows: output features or channels.
    pub outputs: usize,
    /// Columns, the inputs that one output sees: `in` of a Linear layer,
    /// `in / groups · kernel height · kernel width` of a convolution.
    pub inputs: usize,
    /// Groups of a convolution; 1 for a Linear layer.
    pub groups: usize,
    /// Kernel height and width; `None` for a Linear layer.
    pub kernel: Option<[usize; 2]>,
}

impl WeightShape {
    /// Number of entries of the weight.
    #[must_use]
    pub fn size(&self) -> usize {
        self.outputs * self.inputs
    }

    /// Number of entries of a kernel; 1 for a Linear layer.
    #[must_use]
    pub fn area(&self) -> usize {
        self.kernel.map_or(1, |[height, width]| height * width)
    }

    /// A weight as `[outputs, inputs]`. Burn's Linear stores `[in, out]`.
    #[must_use]
    pub fn matrix<const D: usize>(&self, weight: Tensor<D>) -> Tensor<2> {
        if self.kernel.is_some() {
            weight.reshape([self.outputs, self.inputs])
        } else {
            weight.reshape([self.inputs, self.outputs]).transpose()
        }
    }

    /// A matrix `[outputs, inputs]` in the weight's own shape.
    #[must_use]
    pub fn weight<const D: usize>(&self, matrix: Tensor<2>, shape: [usize; D]) -> Tensor<D> {
        if self.kernel.is_some() {
            matrix.reshape(shape)
        } else {
            matrix.transpose().reshape(shape)
        }
    }
}
