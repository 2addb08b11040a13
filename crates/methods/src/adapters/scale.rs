//! Scaled activations: (IA)³ (Liu et al. 2022, arXiv:2205.05638, section 3.3) and `SSF` (Lian et
//! al. 2022, arXiv:2210.08823, equation 3).

use burn::Tensor;
use burn::module::{Module, Param};

use super::WeightShape;
use crate::adapters::Site;

/// A factor for each input or output of a layer, and for outputs a shift.
#[derive(Module, Debug)]
pub struct Scale {
    /// Factors of the inputs, `[in]`: (IA)³ in feed-forward layers.
    pub on_inputs: Option<Param<Tensor<1>>>,
    /// Factors of the outputs, the bias included, `[outputs]`.
    pub on_outputs: Option<Param<Tensor<1>>>,
    /// What is added to each output, `[outputs]`.
    pub shift: Option<Param<Tensor<1>>>,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
}

impl Scale {
    /// The scaled weight; [`merge`](crate::merge) takes care of the bias.
    pub(super) fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.dims();
        let mut matrix = self.shape.matrix(base);
        if let Some(factor) = &self.on_inputs {
            matrix = matrix * self.columns(factor.val());
        }
        if let Some(factor) = &self.on_outputs {
            matrix = matrix * factor.val().unsqueeze_dim(1);
        }
        self.shape.weight(matrix, shape)
    }

    /// The factor of each entry of the weight's matrix where inputs are scaled.
    fn columns(&self, factor: Tensor<1>) -> Tensor<2> {
        let WeightShape {
            outputs,
            inputs,
            groups,
            kernel,
        } = self.shape;
        let area = kernel.map_or(1, |[height, width]| height * width);
        // [groups, in / groups] → each channel for its whole kernel, each group for its outputs.
        factor
            .reshape([groups, 1, inputs / area, 1])
            .repeat_dim(3, area)
            .repeat_dim(1, outputs / groups)
            .reshape([outputs, inputs])
    }

    /// The layer with this adapter on `x`.
    pub(crate) fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        let x = match &self.on_inputs {
            Some(factor) => x * site.channels(factor.val()),
            None => x,
        };
        let mut y = site.base(x, true);
        if let Some(factor) = &self.on_outputs {
            y = y * site.channels(factor.val());
        }
        if let Some(shift) = &self.shift {
            y = y + site.channels(shift.val());
        }
        y
    }
}
