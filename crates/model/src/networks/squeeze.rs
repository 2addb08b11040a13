//! Squeeze and excitation (Hu et al. 2017, arXiv:1709.01507).

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Device;
use burn::tensor::activation::sigmoid;
use finetune_kernels::norm::Activation;
use finetune_methods::conv2d;

use super::blocks::{Convolution, global_average};

/// Squeeze and excitation: scales each channel by a factor that is computed from the means of all
/// channels.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcitation {
    reduce: Conv2d,
    expand: Conv2d,
    #[module(skip)]
    activation: Activation,
}

impl SqueezeExcitation {
    /// For `channels` channels, with `reduced` ones between the two layers, and `activation` after the
    /// first.
    pub(crate) fn new(
        channels: usize,
        reduced: usize,
        activation: Activation,
        device: &Device,
    ) -> Self {
        Self {
            reduce: Convolution::new(channels, reduced, 1, 1).init_with_bias(device),
            expand: Convolution::new(reduced, channels, 1, 1).init_with_bias(device),
            activation,
        }
    }

    /// The scaled maps.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, _, _] = x.dims();
        let means = global_average(x.clone()).reshape([batch, channels, 1, 1]);
        let reduced = self.activation.apply(conv2d(&self.reduce, means));
        x * sigmoid(conv2d(&self.expand, reduced))
    }
}
