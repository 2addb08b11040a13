//! Some entries of a weight: `SHiRA` (Bhardwaj et al. 2024, arXiv:2406.13175, section 3) and `GPS`
//! (Zhang et al. 2024, "Gradient-based Parameter Selection", arXiv:2312.10136).

use burn::Tensor;
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, IndexingUpdateOp, Int, TensorData};

use super::change::Delta;
use super::shape::WeightShape;
use super::start;
use crate::inspect::paths::Field;

/// A `ΔW` that is 0 but for a few entries.
#[derive(Module, Debug)]
pub struct Sparse {
    /// The entries, `[count]`.
    pub shira_weight: Param<Tensor<1>>,
    /// The position of each entry in `[outputs, inputs]`, counted row by row.
    pub shira_indices: Param<Tensor<1, Int>>,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
}

impl Sparse {
    pub(crate) const WEIGHT: Field<'static> = Field::new("Sparse", "shira_weight");
    pub(crate) const INDICES: Field<'static> = Field::new("Sparse", "shira_indices");

    /// Entries of 0 at the given positions of `[outputs, inputs]`, counted row by row.
    #[allow(clippy::cast_possible_wrap)]
    pub(crate) fn zeros(positions: Vec<usize>, shape: WeightShape, device: &Device) -> Self {
        let count = positions.len();
        let positions: Vec<i64> = positions
            .into_iter()
            .map(|position| position as i64)
            .collect();
        let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [count]), device);
        Self {
            shira_weight: start::full(0.0, [count], device),
            shira_indices: Param::initialized(ParamId::new(), positions),
            shape,
        }
    }

    /// `ΔW`, `[outputs, inputs]`.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let values = self.shira_weight.val();
        Tensor::<1>::zeros([self.shape.size()], &values.device())
            .select_assign(0, self.shira_indices.val(), values, IndexingUpdateOp::Add)
            .reshape([self.shape.outputs, self.shape.inputs])
    }
}

impl Delta for Sparse {
    fn delta(&self) -> Tensor<2> {
        self.delta()
    }

    fn shape(&self) -> WeightShape {
        self.shape
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::Sparse;
    use crate::adapters::WeightShape;
    use crate::inspect::paths::assert_fields;

    #[test]
    fn the_constants_are_the_names_of_the_fields() {
        let shape = WeightShape {
            outputs: 2,
            inputs: 2,
            groups: 1,
            kernel: None,
        };
        let adapter = Sparse::zeros(vec![1, 2], shape, &Device::flex());
        assert_fields(&adapter, &[Sparse::WEIGHT, Sparse::INDICES]);
    }
}
