//! Scaled activations: (IA)³ (Liu et al. 2022, arXiv:2205.05638, section 3.3) and `SSF` (Lian et
//! al. 2022, arXiv:2210.08823, equation 3).

use burn::Tensor;
use burn::module::{Module, Param};

use super::change::Change;
use super::shape::WeightShape;
use super::site::Site;
use crate::inspect::paths::Field;

/// A factor per input or per output of a layer, and a shift per output.
#[derive(Module, Debug)]
pub struct Scale {
    /// Factors of the inputs, `[in]`: (IA)³ in feed-forward layers.
    pub on_inputs: Option<Param<Tensor<1>>>,
    /// Factors of the outputs including the bias, `[outputs]`.
    pub on_outputs: Option<Param<Tensor<1>>>,
    /// Shifts of the outputs, `[outputs]`.
    pub shift: Option<Param<Tensor<1>>>,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
}

impl Scale {
    pub(crate) const ON_INPUTS: Field<'static> = Field::new("Scale", "on_inputs");
    pub(crate) const ON_OUTPUTS: Field<'static> = Field::new("Scale", "on_outputs");
    pub(crate) const SHIFT: Field<'static> = Field::new("Scale", "shift");

    /// The factor of each entry of the weight's matrix if inputs are scaled.
    fn columns(&self, factor: Tensor<1>) -> Tensor<2> {
        let WeightShape {
            outputs,
            inputs,
            groups,
            ..
        } = self.shape;
        let area = self.shape.area();
        // `[groups, in / groups]`, repeated over each channel's kernel and each group's outputs.
        factor
            .reshape([groups, 1, inputs / area, 1])
            .repeat_dim(3, area)
            .repeat_dim(1, outputs / groups)
            .reshape([outputs, inputs])
    }
}

impl Change for Scale {
    const MERGES: bool = true;

    /// The scaled weight; [`merge`](crate::merge) also scales and shifts the bias.
    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
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

    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::Scale;
    use crate::adapters::{WeightShape, start};
    use crate::inspect::paths::assert_fields;

    #[test]
    fn the_constants_are_the_names_of_the_fields() {
        let ones = || Some(start::full(1.0, [1], &Device::flex()));
        let adapter = Scale {
            on_inputs: ones(),
            on_outputs: ones(),
            shift: ones(),
            shape: WeightShape {
                outputs: 1,
                inputs: 1,
                groups: 1,
                kernel: None,
            },
        };
        let fields = [Scale::ON_INPUTS, Scale::ON_OUTPUTS, Scale::SHIFT];
        assert_fields(&adapter, &fields);
    }
}
