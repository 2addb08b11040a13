//! Two-dimensional convolution.

mod backend;
mod choose;
mod depthwise;
pub(crate) mod geometry;
mod part;
mod plan;
mod pointwise;
pub(crate) mod product;
pub(crate) mod sampled;
mod small;
mod sums;
#[cfg(test)]
mod tests;
pub(crate) mod transpose;
mod weight;
pub(crate) mod window;
mod winograd;
mod zones;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::tensor::ops::ConvOptions;

pub(crate) use backend::{Bias, ConvBackend, bias_grad, flex_pair, pair};

/// Convolves `x` `[batch, channels in, height, width]` with `weight`
/// `[channels out, channels in / groups, kernel height, kernel width]` and adds `bias`
/// `[channels out]`.
///
/// Result and gradients are those of [`burn::tensor::module::conv2d`]. The backward pass computes
/// only the gradients that are needed, and the input is retained only if the weight is tracked.
///
/// # Panics
///
/// If the numbers of channels do not match, as Burn's operation does.
#[must_use]
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let ([_, channels_in, _, _], [channels_out, seen, _, _]) = (x.dims(), weight.dims());
    assert!(
        channels_in == seen * options.groups && channels_out % options.groups == 0,
        "a convolution of {channels_in} channels in {} groups cannot have {channels_out} filters \
         of {seen} channels",
        options.groups,
    );
    Tensor::from_dispatch(Dispatch::convolution(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.map_or(Bias::Absent, |bias| Bias::Given(bias.into_dispatch())),
        options,
    ))
}
