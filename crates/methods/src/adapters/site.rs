//! A layer as an adapter on its weight sees it: the same operations for Linear and Conv2d.

use burn::Tensor;
use burn::module::Param;
use burn::nn::{Linear, PaddingConfig2d, conv::Conv2d};
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;
use finetune_kernels::adapted::{self, Factors};
use finetune_kernels::linear::linear as dense_linear;

use super::quantize::{Blocks, dense};

/// A layer whose weight carries an adapter. Outputs and inputs are on one axis of `Tensor<D>`: the
/// last of a Linear layer's tensors, the second of a convolution's.
pub(crate) trait Site<const D: usize> {
    /// The base weight in the layer's own shape.
    fn weight(&self) -> Tensor<D>;
    /// The layer's bias, `[outputs]`.
    fn bias(&self) -> Option<Tensor<1>>;
    /// The layer with its base weight on `x`; the bias is added if asked for.
    fn base(&self, x: Tensor<D>, bias: bool) -> Tensor<D>;
    /// The layer with the weight that the adapter makes of the base weight, on `x`.
    fn changed(&self, x: Tensor<D>) -> Tensor<D>;
    /// `A·x` for `A` of `[groups · rank, inputs]`: `rank` values per group.
    fn down(&self, x: Tensor<D>, a: Tensor<2>) -> Tensor<D>;
    /// `B·h` for `B` of `[outputs, rank]` and the result `h` of `down`.
    fn up(&self, h: Tensor<D>, b: Tensor<2>) -> Tensor<D>;
    /// The layer with `W + B·A` on `x`; the bias is added if asked for.
    fn with_factors(&self, x: Tensor<D>, factors: Factors, bias: bool) -> Tensor<D>;
    /// Number of outputs of one channel or feature for an input of this shape.
    fn positions(&self, x: [usize; D]) -> usize;
    /// One number per output or input, shaped for broadcasting over the layer's tensors.
    fn channels(&self, values: Tensor<1>) -> Tensor<D>;
}

/// A Linear layer, and the scales of its base weight if that is stored in codes.
pub(crate) struct LinearSite<'a>(pub(crate) &'a Linear, pub(crate) Option<Blocks>);

impl<const D: usize> Site<D> for LinearSite<'_> {
    fn weight(&self) -> Tensor<D> {
        // `[in, out]` under leading axes of 1: adapters only reshape it.
        dense(self.0.weight.base(), self.1.as_ref()).unsqueeze()
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.0.bias.as_ref().map(Param::val)
    }

    fn base(&self, x: Tensor<D>, bias: bool) -> Tensor<D> {
        let bias = self.0.bias.as_ref().filter(|_| bias).map(Param::val);
        dense_linear(x, dense(self.0.weight.base(), self.1.as_ref()), bias)
    }

    fn changed(&self, x: Tensor<D>) -> Tensor<D> {
        dense_linear(x, self.0.weight.val(), self.0.bias.as_ref().map(Param::val))
    }

    fn down(&self, x: Tensor<D>, a: Tensor<2>) -> Tensor<D> {
        module::linear(x, a.transpose(), None)
    }

    fn up(&self, h: Tensor<D>, b: Tensor<2>) -> Tensor<D> {
        module::linear(h, b.transpose(), None)
    }

    fn with_factors(&self, x: Tensor<D>, factors: Factors, bias: bool) -> Tensor<D> {
        let bias = self.0.bias.as_ref().filter(|_| bias).map(Param::val);
        adapted::linear(
            x,
            dense(self.0.weight.base(), self.1.as_ref()),
            factors,
            bias,
        )
    }

    fn positions(&self, x: [usize; D]) -> usize {
        x[..D - 1].iter().product()
    }

    fn channels(&self, values: Tensor<1>) -> Tensor<D> {
        values.unsqueeze()
    }
}

/// A convolution, and the scales of its base weight if that is stored in codes.
pub(crate) struct ConvSite<'a>(pub(crate) &'a Conv2d, pub(crate) Option<Blocks>);

impl ConvSite<'_> {
    /// The shape of the output with so many channels for an input of this shape.
    pub(super) fn output(&self, x: [usize; 4], channels: usize) -> [usize; 4] {
        let [batch, _, height, width] = x;
        let options = options(self.0, [height, width]);
        let outputs = |axis: usize, length: usize| {
            let (before, after) = options.padding[axis];
            let span = options.dilation[axis] * (self.0.kernel_size[axis] - 1) + 1;
            (before + length + after).saturating_sub(span) / options.stride[axis] + 1
        };
        [batch, channels, outputs(0, height), outputs(1, width)]
    }
}

impl Site<4> for ConvSite<'_> {
    fn weight(&self) -> Tensor<4> {
        dense(self.0.weight.base(), self.1.as_ref())
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.0.bias.as_ref().map(Param::val)
    }

    fn base(&self, x: Tensor<4>, bias: bool) -> Tensor<4> {
        convolve(
            self.0,
            dense(self.0.weight.base(), self.1.as_ref()),
            x,
            bias,
        )
    }

    fn changed(&self, x: Tensor<4>) -> Tensor<4> {
        convolve(self.0, self.0.weight.val(), x, true)
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

    fn with_factors(&self, x: Tensor<4>, factors: Factors, bias: bool) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let options = options(self.0, [height, width]);
        let weight = dense(self.0.weight.base(), self.1.as_ref());
        let bias = self.0.bias.as_ref().filter(|_| bias).map(Param::val);
        adapted::conv2d(x, weight, factors, bias, options)
    }

    fn positions(&self, x: [usize; 4]) -> usize {
        self.output(x, 1).iter().product()
    }

    fn channels(&self, values: Tensor<1>) -> Tensor<4> {
        let count = values.dims()[0];
        values.reshape([1, count, 1, 1])
    }
}

/// The layer's convolution with the given weight instead of its own.
fn convolve(layer: &Conv2d, weight: Tensor<4>, x: Tensor<4>, bias: bool) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let bias = layer.bias.as_ref().filter(|_| bias).map(Param::val);
    finetune_kernels::conv2d(x, weight, bias, options(layer, [height, width]))
}

/// The layer's options for images of this size.
fn options(layer: &Conv2d, [height, width]: [usize; 2]) -> ConvOptions<2> {
    let padding = match layer.padding {
        PaddingConfig2d::Valid => [(0, 0), (0, 0)],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => [
            same_padding(height, layer.kernel_size[0], layer.stride[0]),
            same_padding(width, layer.kernel_size[1], layer.stride[1]),
        ],
    };
    ConvOptions::new_with_padding(layer.stride, padding, layer.dilation, layer.groups)
}

/// Zeros before and after an axis, as Burn counts them: one output per `stride` inputs.
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

    use super::{ConvSite, Site};

    #[test]
    fn a_convolution_is_padded_like_the_layer_of_burn() {
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
                let ours = ConvSite(&layer, None).changed(x.clone()).into_data();
                let burns = layer.forward(x.clone()).into_data();
                ours.assert_approx_eq::<f32>(&burns, Tolerance::default());
            }
        }
    }
}
