//! Layers while their work is counted ([`finetune_kernels::counted`]): zeros of the right shape. Weights are
//! not read, so that those that are not initialised stay so.

use burn::Tensor;
use burn::nn::{Linear, conv::Conv2d};
use finetune_kernels::counted::add;

use super::site::ConvSite;

/// A Linear layer on `x` `[.., in]`; returns zeros `[.., out]`.
pub(super) fn linear<const D: usize>(layer: &Linear, x: &Tensor<D>) -> Tensor<D> {
    let weight = layer.weight.lazy_shape();
    let mut shape = x.dims();
    shape[D - 1] = weight[1];
    add(shape.iter().product(), weight[0]);
    Tensor::zeros(shape, &x.device())
}

/// A Conv2d layer on `x` `[batch, channels, height, width]`; returns zeros.
pub(super) fn conv2d(layer: &Conv2d, x: &Tensor<4>) -> Tensor<4> {
    let weight = layer.weight.lazy_shape();
    let shape = ConvSite(layer, None).output(x.dims(), weight[0]);
    add(shape.iter().product(), weight[1] * weight[2] * weight[3]);
    Tensor::zeros(shape, &x.device())
}
