//! Adapter-aware application of Burn's layers.
//!
//! A model that calls these instead of `layer.forward(x)` gets the factored path where an
//! [`Adapter`] is attached, `W·x + s·B·(A·x)`: no dense `ΔW`, and no dense gradient of `W`.
//! Without an adapter (or with one that has no such path) they are the layer's own forward.

use burn::Tensor;
use burn::module::Param;
use burn::nn::{Linear, PaddingConfig2d, conv::Conv2d};
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;
use finetune_kernels::linear::linear as dense_linear;

use crate::adapters::Adapter;
use crate::adapters::dense;

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
        _ => dense_linear(x, layer.weight.val(), layer.bias.as_ref().map(Param::val)),
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
        dense_linear(x, dense(self.0.weight.base()), bias)
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
        let [height, width] = self.0.kernel_size;
        let channels = inputs / (height * width);
        convolve(self.0, a.reshape([rows, channels, height, width]), x, false)
    }

    fn up(&self, h: Tensor<4>, b: Tensor<2>) -> Tensor<4> {
        let [outputs, rank] = b.dims();
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], self.0.groups);
        finetune_kernels::conv2d(h, b.reshape([outputs, rank, 1, 1]), None, options)
    }

    fn channels(&self, values: Tensor<1>) -> Tensor<4> {
        let count = values.dims()[0];
        values.reshape([1, count, 1, 1])
    }
}

/// The layer's convolution with that weight in place of its own.
fn convolve(layer: &Conv2d, weight: Tensor<4>, x: Tensor<4>, bias: bool) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let padding = match layer.padding {
        PaddingConfig2d::Valid => [(0, 0), (0, 0)],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => [
            same_padding(height, layer.kernel_size[0], layer.stride[0]),
            same_padding(width, layer.kernel_size[1], layer.stride[1]),
        ],
    };
    let options =
        ConvOptions::new_with_padding(layer.stride, padding, layer.dilation, layer.groups);
    let bias = layer.bias.as_ref().filter(|_| bias).map(Param::val);
    finetune_kernels::conv2d(x, weight, bias, options)
}

/// Zeros before and after, as Burn counts them: one output for every `stride` inputs.
fn same_padding(length: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let outputs = length.div_ceil(stride);
    let needed = outputs.saturating_sub(1) * stride + kernel;
    let total = needed.saturating_sub(length);
    (total / 2, total - total / 2)
}

#[cfg(test)]
mod tests {
    use burn::Tensor;
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::Conv2dConfig;
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn a_convolution_pads_as_burns_layer_does() {
        let device = Device::flex();
        let x = Tensor::<4>::random([2, 3, 8, 7], Distribution::Default, &device);
        for padding in [
            PaddingConfig2d::Same,
            PaddingConfig2d::Valid,
            PaddingConfig2d::Explicit(0, 1, 2, 3),
        ] {
            for stride in [[1, 1], [2, 3]] {
                let layer = Conv2dConfig::new([3, 4], [4, 3])
                    .with_padding(padding.clone())
                    .with_stride(stride)
                    .init(&device);
                let ours = super::conv2d(&layer, x.clone()).into_data();
                let burns = layer.forward(x.clone()).into_data();
                ours.assert_approx_eq::<f32>(&burns, Tolerance::default());
            }
        }
    }
}
