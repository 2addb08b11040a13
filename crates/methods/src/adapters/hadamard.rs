//! `LoHa`: the elementwise product of two low-rank matrices (Hyeon-Woo et al. 2022, "`FedPara`",
//! arXiv:2108.06098, proposition 1; `LyCORIS`, Yeh et al. 2024, arXiv:2309.14859, section 3.2).

use burn::Tensor;
use burn::module::{Module, Param};

use super::WeightShape;

/// `ΔW = s·(B₁A₁ ⊙ B₂A₂)`, of rank up to `rank²`.
///
/// Parameters: `2·rank·(outputs + inputs)`.
#[derive(Module, Debug)]
pub struct Hadamard {
    /// `B₁`: `[outputs, rank]`.
    pub hada_w1_a: Param<Tensor<2>>,
    /// `A₁`: `[rank, inputs]`.
    pub hada_w1_b: Param<Tensor<2>>,
    /// `B₂`: `[outputs, rank]`.
    pub hada_w2_a: Param<Tensor<2>>,
    /// `A₂`: `[rank, inputs]`.
    pub hada_w2_b: Param<Tensor<2>>,
    /// Factor `s`.
    #[module(skip)]
    pub scale: f64,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
}

impl Hadamard {
    /// `ΔW`, `[outputs, inputs]`.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let first = self.hada_w1_a.val().matmul(self.hada_w1_b.val());
        let second = self.hada_w2_a.val().matmul(self.hada_w2_b.val());
        (first * second).mul_scalar(self.scale)
    }
}
