//! Some entries of a weight: `SHiRA` (Bhardwaj et al. 2024, arXiv:2406.13175, section 3) and `GPS`
//! (Zhang et al. 2024, "Gradient-based Parameter Selection", arXiv:2312.10136).

use burn::Tensor;
use burn::module::{Module, Param};
use burn::tensor::{IndexingUpdateOp, Int};

use super::WeightShape;

/// `ΔW` with few entries that are not 0.
#[derive(Module, Debug)]
pub struct Sparse {
    /// The entries, `[count]`.
    pub shira_weight: Param<Tensor<1>>,
    /// Where each is, in row order of `[outputs, inputs]`.
    pub shira_indices: Param<Tensor<1, Int>>,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
}

impl Sparse {
    /// `ΔW`, `[outputs, inputs]`.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let values = self.shira_weight.val();
        Tensor::<1>::zeros([self.shape.size()], &values.device())
            .select_assign(0, self.shira_indices.val(), values, IndexingUpdateOp::Add)
            .reshape([self.shape.outputs, self.shape.inputs])
    }
}
