//! `LoKr`: a Kronecker product (Edalati et al. 2022, "`KronA`", arXiv:2212.10650, equation 3;
//! `LyCORIS`, Yeh et al. 2024, arXiv:2309.14859, section 3.2).

use burn::Tensor;
use burn::module::{Module, Param};

use super::WeightShape;

/// `ΔW = s·(C ⊗ D)`, each of `C` and `D` whole or a product of two.
///
/// With `outputs = a·b` and `in = c·d`, `C` is `a × c` and `D` is `b × (d · kernel area)`.
#[derive(Module, Debug)]
pub struct Kronecker {
    /// `C`, where it is whole.
    pub lokr_w1: Option<Param<Tensor<2>>>,
    /// Left factor of `C`, `[a, rank]`.
    pub lokr_w1_a: Option<Param<Tensor<2>>>,
    /// Right factor of `C`, `[rank, c]`.
    pub lokr_w1_b: Option<Param<Tensor<2>>>,
    /// `D`, where it is whole.
    pub lokr_w2: Option<Param<Tensor<2>>>,
    /// Left factor of `D`, `[b, rank]`.
    pub lokr_w2_a: Option<Param<Tensor<2>>>,
    /// Right factor of `D`, `[rank, d · kernel area]`.
    pub lokr_w2_b: Option<Param<Tensor<2>>>,
    /// Factor `s`.
    #[module(skip)]
    pub scale: f64,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
}

impl Kronecker {
    /// `ΔW`, `[outputs, inputs]`.
    ///
    /// # Panics
    ///
    /// Where a factor is neither whole nor a product, which no method of this crate makes.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let c = whole(&self.lokr_w1, &self.lokr_w1_a, &self.lokr_w1_b);
        let d = whole(&self.lokr_w2, &self.lokr_w2_a, &self.lokr_w2_b);
        kron(c, d).mul_scalar(self.scale)
    }
}

type Matrix = Option<Param<Tensor<2>>>;

fn whole(whole: &Matrix, left: &Matrix, right: &Matrix) -> Tensor<2> {
    match (whole, left, right) {
        (Some(whole), _, _) => whole.val(),
        (None, Some(left), Some(right)) => left.val().matmul(right.val()),
        _ => unreachable!("a Kronecker factor is whole or a product"),
    }
}

/// `C ⊗ D`.
fn kron(c: Tensor<2>, d: Tensor<2>) -> Tensor<2> {
    let ([rows, columns], [height, width]) = (c.dims(), d.dims());
    (c.reshape([rows, 1, columns, 1]) * d.reshape([1, height, 1, width]))
        .reshape([rows * height, columns * width])
}
