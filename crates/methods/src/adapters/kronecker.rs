//! `LoKr`: a Kronecker product (Edalati et al. 2022, "`KronA`", arXiv:2212.10650, equation 3;
//! `LyCORIS`, Yeh et al. 2024, arXiv:2309.14859, section 3.2).

use burn::Tensor;
use burn::module::{Module, Param};

use super::change::Delta;
use super::shape::WeightShape;
use crate::inspect::paths::Field;

/// `ΔW = s·(C ⊗ D)`. Each of `C` and `D` is either one tensor or the product of two.
///
/// With `outputs = a·b` and `in = c·d`, `C` is `a × c` and `D` is `b × (d · kernel area)`.
#[derive(Module, Debug)]
pub struct Kronecker {
    /// `C`, if it is one tensor.
    pub lokr_w1: Option<Param<Tensor<2>>>,
    /// Left factor of `C`, `[a, rank]`.
    pub lokr_w1_a: Option<Param<Tensor<2>>>,
    /// Right factor of `C`, `[rank, c]`.
    pub lokr_w1_b: Option<Param<Tensor<2>>>,
    /// `D`, if it is one tensor.
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
    pub(crate) const W1: Field<'static> = Field::new("Kronecker", "lokr_w1");
    pub(crate) const W1_A: Field<'static> = Field::new("Kronecker", "lokr_w1_a");
    pub(crate) const W1_B: Field<'static> = Field::new("Kronecker", "lokr_w1_b");
    pub(crate) const W2: Field<'static> = Field::new("Kronecker", "lokr_w2");
    pub(crate) const W2_A: Field<'static> = Field::new("Kronecker", "lokr_w2_a");
    pub(crate) const W2_B: Field<'static> = Field::new("Kronecker", "lokr_w2_b");

    /// `ΔW`, `[outputs, inputs]`.
    ///
    /// # Panics
    ///
    /// If a factor is neither one tensor nor a product, which no method of this crate makes.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let c = whole(&self.lokr_w1, &self.lokr_w1_a, &self.lokr_w1_b);
        let d = whole(&self.lokr_w2, &self.lokr_w2_a, &self.lokr_w2_b);
        kron(c, d).mul_scalar(self.scale)
    }
}

impl Delta for Kronecker {
    fn delta(&self) -> Tensor<2> {
        self.delta()
    }

    fn shape(&self) -> WeightShape {
        self.shape
    }
}

type Matrix = Option<Param<Tensor<2>>>;

fn whole(whole: &Matrix, left: &Matrix, right: &Matrix) -> Tensor<2> {
    match (whole, left, right) {
        (Some(whole), _, _) => whole.val(),
        (None, Some(left), Some(right)) => left.val().matmul(right.val()),
        _ => unreachable!("a Kronecker factor is one tensor or a product"),
    }
}

/// `C ⊗ D`.
fn kron(c: Tensor<2>, d: Tensor<2>) -> Tensor<2> {
    let ([rows, columns], [height, width]) = (c.dims(), d.dims());
    (c.reshape([rows, 1, columns, 1]) * d.reshape([1, height, 1, width]))
        .reshape([rows * height, columns * width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::Kronecker;
    use crate::adapters::{WeightShape, start};
    use crate::inspect::paths::assert_fields;

    #[test]
    fn the_constants_are_the_names_of_the_fields() {
        let zeros = || Some(start::full(0.0, [1, 1], &Device::flex()));
        let adapter = Kronecker {
            lokr_w1: zeros(),
            lokr_w1_a: zeros(),
            lokr_w1_b: zeros(),
            lokr_w2: zeros(),
            lokr_w2_a: zeros(),
            lokr_w2_b: zeros(),
            scale: 1.0,
            shape: WeightShape {
                outputs: 1,
                inputs: 1,
                groups: 1,
                kernel: None,
            },
        };
        let first = [Kronecker::W1, Kronecker::W1_A, Kronecker::W1_B];
        assert_fields(&adapter, &first);
        let second = [Kronecker::W2, Kronecker::W2_A, Kronecker::W2_B];
        assert_fields(&adapter, &second);
    }
}
