//! Adapter-aware application of Burn's layers.
//!
//! A model that calls these instead of `layer.forward(x)` gets the factored path where an
//! [`Adapter`] is attached, `W·x + s·B·(A·x)`: no dense `ΔW`, and no dense gradient of `W`.
//! Without an adapter (or with one that has no such path) they are the layer's own forward.

use burn::Tensor;
use burn::module::Param;
use burn::nn::{Linear, PaddingConfig2d, conv::Conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Slice, module};

use crate::adapter::Adapter;
use crate::quantize::dense;

/// A layer as an adapter on its weight sees it; outputs and inputs are on one axis of `Tensor<D>`.
pub(crate) trait Site<const D: usize> {
    /// The base weight, as the layer keeps it.
    fn weight(&self) -> Tensor<D>;
    /// The layer's bias, `[outputs]`.
    fn bias(&self) -> Option<Tensor<1>>;
    /// The base layer on `x`.
    fn base(&self, x: Tensor<D>, bias: bool) -> Tensor<D>;
    /// `A·x` for `A` of `[groups · rank, inputs]`: `rank` values a group.
    fn down(&self, x: Tensor<D>, a: Tensor<2>) -> Tensor<D>;
    /// `B·h` for `B` of `[outputs, rank]` on what `down` made.
    fn up(&self, h: Tensor<D>, b: Tensor<2>) -> Tensor<D>;
    /// One number for each output, or input, to be combined with the layer's.
    fn channels(&self, values: Tensor<1>) -> Tensor<D>;
}

/// Applies a Linear layer to `x` of shape `[.., in]`; returns `[.., out]`.
///
/// # Panics
///
/// Where the last axis of `x` is not the layer's input size, as Burn's own forward does.
#[must_use]
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    match layer.weight.reparameterization::<Adapter>() {
        Some(Adapter::LowRank(adapter)) => adapter.forward(&LinearSite(layer), x),
        Some(Adapter::Scale(adapter)) => adapter.forward(&LinearSite(layer), x),
        _ => layer.forward(x),
    }
}

/// Applies a Conv2d layer to `x` of shape `[batch, channels, height, width]`.
///
/// A low-rank adapter's `A` is a convolution of the layer's own kernel size, stride, padding,
/// dilation and groups to `rank` channels a group, its `B` a 1×1 convolution.
///
/// # Panics
///
/// Where the channels of `x` are not the layer's, as Burn's own forward does.
#[must_use]
pub fn conv2d(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    match layer.weight.reparameterization::<Adapter>() {
        Some(Adapter::LowRank(adapter)) => adapter.forward(&ConvSite(layer), x),
        Some(Adapter::Scale(adapter)) => adapter.forward(&ConvSite(layer), x),
        _ => convolve(layer, layer.weight.val(), x, true),
    }
}

/// A block `x → inner(x)` whose first layer may carry a [`Bottleneck`](crate::Bottleneck): that is
/// added beside it.
///
/// `adapter_input` is what the bottleneck sees, before the block's own normalisation.
#[must_use]
pub fn parallel<const D: usize>(
    layer: &Linear,
    adapter_input: Tensor<D>,
    inner: impl FnOnce() -> Tensor<D>,
) -> Tensor<D> {
    match layer.weight.reparameterization::<Adapter>() {
        Some(Adapter::Bottleneck(adapter)) => inner() + adapter.forward(adapter_input),
        _ => inner(),
    }
}

/// A block on tokens `[batch, tokens, width]` whose layer `layer` may carry
/// [`Prompts`](crate::Prompts): they come after the first token for the block, and leave with it.
#[must_use]
pub fn prompted(
    layer: &Linear,
    tokens: Tensor<3>,
    block: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let Some(Adapter::Prompts(adapter)) = layer.weight.reparameterization::<Adapter>() else {
        return block(tokens);
    };
    let [batch, count, _] = tokens.dims();
    let prompts = adapter.prompts.val().unsqueeze::<3>().repeat_dim(0, batch);
    let added = prompts.dims()[1];
    let first = tokens.clone().narrow(1, 0, 1);
    let rest = tokens.narrow(1, 1, count - 1);
    let seen = block(Tensor::cat(vec![first, prompts, rest], 1));
    Tensor::cat(
        vec![
            seen.clone().narrow(1, 0, 1),
            seen.narrow(1, 1 + added, count - 1),
        ],
        1,
    )
}

struct LinearSite<'a>(&'a Linear);

impl<const D: usize> Site<D> for LinearSite<'_> {
    fn weight(&self) -> Tensor<D> {
        // `[in, out]` under leading axes of 1: the adapter only reshapes it.
        dense(self.0.weight.base()).unsqueeze()
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.0.bias.as_ref().map(Param::val)
    }

    fn base(&self, x: Tensor<D>, bias: bool) -> Tensor<D> {
        let bias = self.0.bias.as_ref().filter(|_| bias).map(Param::val);
        module::linear(x, dense(self.0.weight.base()), bias)
    }

    fn down(&self, x: Tensor<D>, a: Tensor<2>) -> Tensor<D> {
        module::linear(x, a.transpose(), None)
    }

    fn up(&self, h: Tensor<D>, b: Tensor<2>) -> Tensor<D> {
        module::linear(h, b.transpose(), None)
    }

    fn channels(&self, values: Tensor<1>) -> Tensor<D> {
        values.unsqueeze()
    }
}

struct ConvSite<'a>(&'a Conv2d);

impl Site<4> for ConvSite<'_> {
    fn weight(&self) -> Tensor<4> {
        dense(self.0.weight.base())
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.0.bias.as_ref().map(Param::val)
    }

    fn base(&self, x: Tensor<4>, bias: bool) -> Tensor<4> {
        convolve(self.0, dense(self.0.weight.base()), x, bias)
    }

    fn down(&self, x: Tensor<4>, a: Tensor<2>) -> Tensor<4> {
        let [rows, inputs] = a.dims();
        if is_pointwise(self.0) {
            return pointwise(subsampled(x, self.0.stride), a);
        }
        let [height, width] = self.0.kernel_size;
        let channels = inputs / (height * width);
        with_weight(self.0, a.reshape([rows, channels, height, width]), None).forward(x)
    }

    fn up(&self, h: Tensor<4>, b: Tensor<2>) -> Tensor<4> {
        if self.0.groups == 1 {
            return pointwise(h, b);
        }
        let [outputs, rank] = b.dims();
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], self.0.groups);
        module::conv2d(h, b.reshape([outputs, rank, 1, 1]), None, options)
    }

    fn channels(&self, values: Tensor<1>) -> Tensor<4> {
        let count = values.dims()[0];
        values.reshape([1, count, 1, 1])
    }
}

/// The convolution with that weight, as a matrix product where it is one and `x` is being trained
/// on: the gradient of a 1×1 weight is then 5 to 7 times as fast as through Burn's convolution
/// (flex).
fn convolve(layer: &Conv2d, weight: Tensor<4>, x: Tensor<4>, bias: bool) -> Tensor<4> {
    let bias = layer.bias.as_ref().filter(|_| bias);
    if !(is_pointwise(layer) && x.device().is_autodiff()) {
        return with_weight(layer, weight, bias.cloned()).forward(x);
    }
    let [outputs, inputs, _, _] = weight.dims();
    let x = subsampled(x, layer.stride);
    let y = pointwise(x, weight.reshape([outputs, inputs]));
    match bias {
        Some(bias) => y + bias.val().reshape([1, outputs, 1, 1]),
        None => y,
    }
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

/// Whether a convolution mixes the channels of each pixel and does nothing else.
fn is_pointwise(layer: &Conv2d) -> bool {
    layer.kernel_size == [1, 1]
        && layer.groups == 1
        && matches!(
            layer.padding,
            PaddingConfig2d::Valid | PaddingConfig2d::Explicit(0, 0, 0, 0)
        )
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
