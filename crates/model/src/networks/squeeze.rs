//! Squeeze and excitation (Hu et al. 2017, arXiv:1709.01507).

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Device;
use burn::tensor::activation::sigmoid;
use finetune_kernels::norm::{Activation, hard_sigmoid};
use finetune_methods::conv2d;

use super::blocks::{Convolution, global_average};

/// What makes a factor between 0 and 1 of a channel's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gate {
    Sigmoid,
    HardSigmoid,
}

/// Squeeze and excitation: scales each channel by a factor that is computed from the means of all
/// channels.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcitation {
    reduce: Conv2d,
    expand: Conv2d,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    gate: Gate,
}

impl SqueezeExcitation {
    /// For `channels` channels, with `reduced` ones between the two layers, `activation` after the first
    /// and `gate` after the second.
    pub(crate) fn new(
        channels: usize,
        reduced: usize,
        activation: Activation,
        gate: Gate,
        device: &Device,
    ) -> Self {
        Self {
            reduce: Convolution::new(channels, reduced, 1, 1).init_with_bias(device),
            expand: Convolution::new(reduced, channels, 1, 1).init_with_bias(device),
            activation,
            gate,
        }
    }

    /// The scaled maps.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, _, _] = x.dims();
        let means = global_average(x.clone()).reshape([batch, channels, 1, 1]);
        let reduced = self.activation.apply(conv2d(&self.reduce, means));
        let scales = conv2d(&self.expand, reduced);
        x * match self.gate {
            Gate::Sigmoid => sigmoid(scales),
            Gate::HardSigmoid => hard_sigmoid(scales),
        }
    }
}
