//! Trained tokens: `VPT` (Jia et al. 2022, "Visual Prompt Tuning", arXiv:2203.12119).

use burn::Tensor;
use burn::module::{Module, Param};

use super::change::Change;
use super::site::Site;

/// Tokens that a transformer's block sees beside its own (equation 6, VPT-deep): they replace those
/// of the block before.
///
/// The model inserts them by calling [`prompted`](crate::prompted). They cannot be merged.
#[derive(Module, Debug)]
pub struct Prompts {
    /// `[count, width]`.
    pub prompts: Param<Tensor<2>>,
}

impl Change for Prompts {
    const MERGES: bool = false;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }

    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        site.changed(x)
    }
}
