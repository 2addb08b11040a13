//! Adapter-aware application of Burn's layers.
//!
//! A model that calls these instead of `layer.forward(x)` gets the factored path where an
//! [`Adapter`] is attached, `W·x + s·B·(A·x)`: no dense `ΔW`, and no dense gradient of `W`.
//! Without an adapter (or with another reparameterization) they are the layer's own forward.

use burn::Tensor;
use burn::module::Param;
use burn::nn::{Linear, PaddingConfig2d, conv::Conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Slice, module};

use crate::adapter::Adapter;

/// Applies a Linear layer to `x` of shape `[.., in]`; returns `[.., out]`.
///
/// # Panics
///
/// Where the last axis of `x` is not the layer's input size, as Burn's own forward does.
#[must_use]
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let Some(adapter) = layer.weight.reparameterization::<Adapter>() else {
        return layer.forward(x);
    };
    let bias = layer.bias.as_ref().map(Param::val);
    let base = module::linear(x.clone(), layer.weight.base(), bias);
    let x = adapter.dropout.forward(x);
    let down = module::linear(x, adapter.a().transpose(), None);
    let up = module::linear(down, adapter.b().transpose(), None);
    base + up.mul_scalar(adapter.geometry.scale)
}

/// Applies a Conv2d layer to `x` of shape `[batch, channels, height, width]`.
///
/// The adapter's `A` is a convolution of the layer's own kernel size, stride, padding, dilation
/// and groups to `rank` channels a group, its `B` a 1×1 convolution.
///
/// # Panics
///
/// Where the channels of `x` are not the layer's, as Burn's own forward does.
#[must_use]
pub fn conv2d(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let Some(adapter) = layer.weight.reparameterization::<Adapter>() else {
        return if as_product(layer, &x) {
            pointwise_layer(layer, layer.weight.val(), x)
        } else {
            layer.forward(x)
        };
    };
    let base = if as_product(layer, &x) {
        pointwise_layer(layer, layer.weight.base(), x.clone())
    } else {
        with_weight(layer, layer.weight.base(), layer.bias.clone()).forward(x.clone())
    };

    let [outputs, channels, height, width] = layer.weight.base().dims();
    let rank = adapter.geometry.rank;
    let a = adapter
        .a()
        .reshape([layer.groups * rank, channels, height, width]);
    let x = adapter.dropout.forward(x);
    let down = if is_pointwise(layer) {
        pointwise(subsampled(x, layer.stride), a.reshape([rank, channels]))
    } else {
        with_weight(layer, a, None).forward(x)
    };
    let b = adapter.b().mul_scalar(adapter.geometry.scale);
    let up = if layer.groups == 1 {
        pointwise(down, b)
    } else {
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], layer.groups);
        module::conv2d(down, b.reshape([outputs, rank, 1, 1]), None, options)
    };
    base + up
}

/// The same convolution (stride, padding, dilation, groups) with other weights.
fn with_weight(layer: &Conv2d, weight: Tensor<4>, bias: Option<Param<Tensor<1>>>) -> Conv2d {
    Conv2d {
        weight: Param::initialized(layer.weight.id, weight),
        bias,
        stride: layer.stride,
        kernel_size: layer.kernel_size,
        dilation: layer.dilation,
        groups: layer.groups,
        padding: layer.padding.clone(),
    }
}

/// Whether a convolution is computed as a matrix product: a 1×1 one while training, where the
/// gradient of its weight is 5 to 7 times as fast as through Burn's convolution (flex).
fn as_product(layer: &Conv2d, x: &Tensor<4>) -> bool {
    is_pointwise(layer) && x.device().is_autodiff()
}

/// Whether a convolution mixes the channels of each pixel and does nothing else.
fn is_pointwise(layer: &Conv2d) -> bool {
    layer.kernel_size == [1, 1]
        && layer.groups == 1
        && matches!(
            layer.padding,
            PaddingConfig2d::Valid | PaddingConfig2d::Explicit(0, 0, 0, 0)
        )
}

fn pointwise_layer(layer: &Conv2d, weight: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
    let [outputs, inputs, _, _] = weight.dims();
    let y = pointwise(
        subsampled(x, layer.stride),
        weight.reshape([outputs, inputs]),
    );
    match &layer.bias {
        Some(bias) => y + bias.val().reshape([1, outputs, 1, 1]),
        None => y,
    }
}

/// Every `stride`-th row and column.
#[allow(clippy::cast_possible_wrap)]
fn subsampled(x: Tensor<4>, stride: [usize; 2]) -> Tensor<4> {
    if stride == [1, 1] {
        return x;
    }
    let [_, _, height, width] = x.dims();
    let every =
        |length: usize, stride: usize| Slice::new(0, Some(length as isize), stride as isize);
    x.slice_dim(2, every(height, stride[0]))
        .slice_dim(3, every(width, stride[1]))
}

/// A 1×1 convolution as a matrix product: `weight` `[out, in]` on `[batch, in, h, w]`.
fn pointwise(x: Tensor<4>, weight: Tensor<2>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let outputs = weight.dims()[0];
    weight
        .unsqueeze::<3>()
        .matmul(x.reshape([batch, channels, height * width]))
        .reshape([batch, outputs, height, width])
}
