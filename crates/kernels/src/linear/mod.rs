//! Fully connected layers whose products are written once.
//!
//! Flex's product makes a buffer of zeros, copies it for the sake of its alignment, and computes into
//! the copy: of a large weight's gradient that is twice the memory and two passes for nothing.

mod backend;
mod outer;
pub(crate) mod product;

use burn::Tensor;
use burn::backend::Dispatch;

pub use backend::LinearBackend;
pub use outer::{OuterProduct, OuterProducts, backward};

/// `x·W + b` on the last axis: `x` `[.., in]`, `weight` `[in, out]`, `bias` `[out]`.
///
/// # Panics
///
/// Where the last axis of `x` is not the weight's first.
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
        "the last axis is as long as the weight's first"
    );
    let rows = shape[..D - 1].iter().product();
    let y = <Dispatch as LinearBackend>::product(
        x.reshape([rows, inputs]).into_dispatch(),
        weight.into_dispatch(),
    );
    let y = Tensor::<2>::from_dispatch(y);
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    shape[D - 1] = outputs;
    y.reshape(shape)
}
