//! Layers and operations that several networks use.

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, PaddingConfig2d};
use burn::tensor::{Device, Slice};
use finetune_kernels::norm::{Activation, norm_act};
use finetune_kernels::tokens;
use finetune_methods::conv2d;

/// A convolution like PyTorch's `Conv2d(inputs, outputs, kernel, stride, groups=…)`, padded so that
/// stride 1 does not change the size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    pub padding: Padding,
}

/// Where the zeros are that a convolution with an odd kernel is padded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Padding {
    /// `(kernel - 1) / 2` on each side, as networks of PyTorch do it.
    #[default]
    Symmetric,
    /// As `TensorFlow`'s `SAME`: as few as it takes for `⌈size / stride⌉` outputs, and if their number is
    /// odd, one more at the bottom and on the right. With stride 1, it is the same.
    Same,
}

impl Convolution {
    pub(crate) fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride,
            groups: 1,
            padding: Padding::Symmetric,
        }
    }

    pub(crate) fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self {
            groups: channels,
            ..Self::new(channels, channels, kernel, stride)
        }
    }

    pub(crate) fn padded(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// Builds it without a bias, for use before a normalisation.
    pub(crate) fn init(self, device: &Device) -> Conv2d {
        self.config().with_bias(false).init(device)
    }

    pub(crate) fn init_with_bias(self, device: &Device) -> Conv2d {
        self.config().init(device)
    }

    fn config(self) -> Conv2dConfig {
        let pad = (self.kernel - 1) / 2;
        let padding = match self.padding {
            Padding::Same if self.stride > 1 => PaddingConfig2d::Same,
            _ => PaddingConfig2d::Explicit(pad, pad, pad, pad),
        };
        Conv2dConfig::new([self.inputs, self.outputs], [self.kernel, self.kernel])
            .with_stride([self.stride, self.stride])
            .with_padding(padding)
            .with_groups(self.groups)
    }
}

/// A convolution and the batch normalisation after it.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(convolution: Convolution, device: &Device) -> Self {
        Self::with_epsilon(convolution, BATCH_NORM_EPSILON, device)
    }

    /// The normalisation adds `epsilon` to the variance.
    pub(crate) fn with_epsilon(convolution: Convolution, epsilon: f64, device: &Device) -> Self {
        Self {
            conv: convolution.init(device),
            norm: BatchNormConfig::new(convolution.outputs)
                .with_epsilon(epsilon)
                .init(device),
        }
    }

    pub(crate) fn of(conv: Conv2d, norm: BatchNorm) -> Self {
        Self { conv, norm }
    }

    /// `activation(norm(conv(x)))`.
    pub(crate) fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        norm_act(&self.norm, conv2d(&self.conv, x), None, activation)
    }

    /// `norm(conv(x)) + residual`.
    pub(crate) fn forward_and_add(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        let residual = Some(residual);
        norm_act(
            &self.norm,
            conv2d(&self.conv, x),
            residual,
            Activation::Identity,
        )
    }
}

/// Added to the variance in batch normalisations, as PyTorch does by default.
pub(crate) const BATCH_NORM_EPSILON: f64 = 1e-5;

pub(crate) fn batch_norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels)
        .with_epsilon(BATCH_NORM_EPSILON)
        .init(device)
}

/// Added to the variance in layer normalisations, as in transformers.
const EPSILON: f64 = 1e-6;

/// Layer normalisation of `features` values.
pub(crate) fn layer_norm(features: usize, device: &Device) -> LayerNorm {
    layer_norm_of(features, EPSILON, device)
}

/// Layer normalisation of `features` values with another epsilon.
pub(crate) fn layer_norm_of(features: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(features)
        .with_epsilon(epsilon)
        .init(device)
}

/// Applies a layer that [`layer_norm`] made.
pub(crate) fn normalized<const D: usize>(norm: &LayerNorm, x: Tensor<D>) -> Tensor<D> {
    normalized_by(norm, x, EPSILON)
}

/// Applies a layer that [`layer_norm_of`] made with this epsilon, which Burn's layer does not tell.
pub(crate) fn normalized_by<const D: usize>(
    norm: &LayerNorm,
    x: Tensor<D>,
    epsilon: f64,
) -> Tensor<D> {
    let Some(beta) = &norm.beta else {
        return norm.forward(x);
    };
    tokens::layer_norm(x, norm.gamma.val(), beta.val(), epsilon)
}

/// Means over height and width: from `[batch, channels, height, width]` to `[batch, channels]`.
pub(crate) fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width])
        .mean_dim(2)
        .reshape([batch, channels])
}

/// Every `stride`-th row and column.
#[allow(clippy::cast_possible_wrap)]
pub(crate) fn every(x: Tensor<4>, stride: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let slice = |length: usize| Slice::new(0, Some(length as isize), stride as isize);
    x.slice_dim(2, slice(height)).slice_dim(3, slice(width))
}
