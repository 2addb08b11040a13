//! `LoHa`: the elementwise product of two low-rank matrices (Hyeon-Woo et al. 2022, "`FedPara`",
//! arXiv:2108.06098, proposition 1; `LyCORIS`, Yeh et al. 2024, arXiv:2309.14859, section 3.2).

use burn::Tensor;
use burn::module::{Module, Param};

use super::change::Delta;
use super::shape::WeightShape;
use crate::inspect::paths::Field;

/// `ΔW = s·(B₁A₁ ⊙ B₂A₂)`, whose rank is at most `rank²`.
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
    pub(crate) const W1_A: Field<'static> = Field::new("Hadamard", "hada_w1_a");
    pub(crate) const W1_B: Field<'static> = Field::new("Hadamard", "hada_w1_b");
    pub(crate) const W2_A: Field<'static> = Field::new("Hadamard", "hada_w2_a");
    pub(crate) const W2_B: Field<'static> = Field::new("Hadamard", "hada_w2_b");

    /// `ΔW`, `[outputs, inputs]`.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let first = self.hada_w1_a.val().matmul(self.hada_w1_b.val());
        let second = self.hada_w2_a.val().matmul(self.hada_w2_b.val());
        (first * second).mul_scalar(self.scale)
    }
}

impl Delta for Hadamard {
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

    use super::Hadamard;
    use crate::adapters::{WeightShape, start};
    use crate::inspect::paths::assert_fields;

    #[test]
    fn the_constants_are_the_names_of_the_fields() {
        let zeros = || start::full(0.0, [1, 1], &Device::flex());
        let adapter = Hadamard {
            hada_w1_a: zeros(),
            hada_w1_b: zeros(),
            hada_w2_a: zeros(),
            hada_w2_b: zeros(),
            scale: 1.0,
            shape: WeightShape {
                outputs: 1,
                inputs: 1,
                groups: 1,
                kernel: None,
            },
        };
        let fields = [
            Hadamard::W1_A,
            Hadamard::W1_B,
            Hadamard::W2_A,
            Hadamard::W2_B,
        ];
        assert_fields(&adapter, &fields);
    }
}
