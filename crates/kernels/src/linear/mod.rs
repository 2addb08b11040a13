//! Fully connected layers whose products are written to memory once.
//!
//! Flex's product allocates a buffer of zeros, copies it to align it, and computes into the copy.
//! For the gradient of a large weight, that takes twice the memory and two unnecessary passes.

mod backend;
pub(crate) mod gemm;
mod outer;
pub(crate) mod product;

use burn::Tensor;
use burn::backend::Dispatch;

pub use backend::LinearBackend;
pub use outer::{OuterProduct, OuterProducts, backward};

/// Computes `x·W + b` on the last axis: `x` `[.., in]`, `weight` `[in, out]`, `bias` `[out]`.
///
/// # Panics
///
/// If the last axis of `x` differs from the first of `weight`.
#[must_use]
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut shape = x.dims();
    let [inputs, outputs] = weight.dims();
    assert_eq!(
        shape[D - 1],
        inputs,
        "the last axis of `x` must be as long as the first of `weight`"
    );
    let rows = shape[..D - 1].iter().product();
    // Reshaping would copy a matrix that is transposed.
    let x = if D == 2 {
        x.into_dispatch()
    } else {
        x.reshape([rows, inputs]).into_dispatch()
    };
    let weight = weight.into_dispatch();
    let y = match bias {
        Some(bias) => <Dispatch as LinearBackend>::affine(x, weight, bias.into_dispatch()),
        None => <Dispatch as LinearBackend>::product(x, weight),
    };
    shape[D - 1] = outputs;
    Tensor::<2>::from_dispatch(y).reshape(shape)
}
