//! Residual blocks.

use burn::Tensor;
use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::tensor::Device;
use burn::tensor::activation::relu;
use finetune_kernels::norm::{Activation, norm_act};
use finetune_methods::conv2d;

use super::shape::{BlockShape, Squeeze};
use crate::networks::blocks::{ConvNorm, Convolution, batch_norm};
use crate::networks::squeeze::{Gate, SqueezeExcitation};

/// A basic block (two 3×3 convolutions) or a bottleneck (1×1, 3×3 and 1×1), with a shortcut. The 3×3
/// convolution of a bottleneck has the stride, as in all libraries ("ResNet v1.5").
#[derive(Module, Debug)]
pub(crate) struct Residual {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    squeeze_middle: Option<SqueezeExcitation>,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    squeeze_last: Option<SqueezeExcitation>,
    average: Option<AvgPool2d>,
    downsample: Option<ConvNorm>,
}

impl Residual {
    pub(super) fn new(shape: BlockShape, device: &Device) -> Self {
        let BlockShape {
            inputs,
            stride,
            bottleneck,
            width,
            outputs,
            groups,
            averaged,
            squeeze,
        } = shape;
        let (first, second) = if bottleneck {
            let spatial = Convolution::new(width, width, 3, stride);
            (
                Convolution::new(inputs, width, 1, 1),
                Convolution { groups, ..spatial },
            )
        } else {
            (
                Convolution::new(inputs, width, 3, stride),
                Convolution::new(width, width, 3, 1),
            )
        };
        let squeezed = |place, channels, reduced| {
            let (activation, gate) = (Activation::Relu, Gate::Sigmoid);
            (squeeze == Some(place))
                .then(|| SqueezeExcitation::new(channels, reduced, activation, gate, device))
        };
        let averaged = averaged && stride != 1;
        let projected = Convolution::new(inputs, outputs, 1, if averaged { 1 } else { stride });
        Self {
            conv1: first.init(device),
            bn1: batch_norm(width, device),
            conv2: second.init(device),
            bn2: batch_norm(width, device),
            squeeze_middle: squeezed(Squeeze::Middle, width, inputs / 4),
            conv3: bottleneck.then(|| Convolution::new(width, outputs, 1, 1).init(device)),
            bn3: bottleneck.then(|| batch_norm(outputs, device)),
            squeeze_last: squeezed(Squeeze::Last, outputs, (outputs / 16).max(8)),
            average: averaged.then(|| {
                let pool = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]);
                let pool = pool.with_ceil_mode(true).with_count_include_pad(false);
                pool.init()
            }),
            // Option B of He et al.: a projection if the shape changes.
            downsample: (stride != 1 || inputs != outputs)
                .then(|| ConvNorm::new(projected, device)),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = |norm, y| norm_act(norm, y, None, Activation::Relu);
        let mut y = activated(&self.bn1, conv2d(&self.conv1, x.clone()));
        y = conv2d(&self.conv2, y);
        let mut last = &self.bn2;
        if let (Some(conv), Some(norm)) = (&self.conv3, &self.bn3) {
            y = activated(last, y);
            if let Some(squeeze) = &self.squeeze_middle {
                y = squeeze.forward(y);
            }
            y = conv2d(conv, y);
            last = norm;
        }
        let shortcut = self.shortcut(x);
        match &self.squeeze_last {
            Some(squeeze) => {
                let y = norm_act(last, y, None, Activation::Identity);
                relu(squeeze.forward(y) + shortcut)
            }
            None => norm_act(last, y, Some(shortcut), Activation::Relu),
        }
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.average {
            Some(pool) => pool.forward(x),
            None => x,
        };
        match &self.downsample {
            Some(projection) => projection.forward(x, Activation::Identity),
            None => x,
        }
    }
}
