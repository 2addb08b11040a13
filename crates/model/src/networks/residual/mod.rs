//! Residual networks for large images: a stem, four stages of residual blocks, a mean over the pixels and a
//! linear layer. ResNet and its variants, `ResNeXt`, SE-ResNet and `RegNet`.
//!
//! The parameters have the names of torchvision and timm for ResNet, except for the convolution and
//! normalisation of the shortcut, which are `downsample.0` and `downsample.1` there.

mod block;
mod names;
pub(super) mod regnet;
pub(super) mod resnet;
pub(super) mod resnet_d;
pub(super) mod resnext;
pub(super) mod seresnet;
mod shape;

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::Device;
use finetune_kernels::norm::{Activation, norm_act};
use finetune_kernels::pool::max_pool2d;
use finetune_methods::conv2d;

use self::block::Residual;
use self::shape::{Shape, Stem};
use super::blocks::{ConvNorm, Convolution, batch_norm, global_average};
use super::classifier::Classifier;
use super::settings::{Setting, Settings};
use super::stages::{Stage, Staged, blocks, logits};

/// The 1×1 convolutions of the blocks, as layers with adapters: the filters of a convolution with groups have
/// too few weights for an adapter to be smaller.
const POINTWISE: &str = r"\.(conv1|conv3|downsample\.conv)\.";

/// Makes the table of a family from the specs and shapes of its networks.
macro_rules! family {
    ($($spec:expr => $shape:expr;)+) => {
        &[$(Entry {
            spec: $spec,
            build: |_, classes, device| ResNet::new(&$shape, classes, device),
        }),+]
    };
}
use family;

/// A residual network of four stages.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: Option<DeepStem>,
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: Option<MaxPool2d>,
    layer1: Vec<Residual>,
    layer2: Vec<Residual>,
    layer3: Vec<Residual>,
    layer4: Vec<Residual>,
    fc: Classifier,
}

/// The convolutions before `conv1`.
#[derive(Module, Debug)]
struct DeepStem {
    first: ConvNorm,
    second: ConvNorm,
}

impl ResNet {
    /// A network of this shape with `classes` outputs.
    fn new(shape: &Shape, classes: usize, device: &Device) -> Self {
        let channels = shape.stem.channels();
        let conv1 = match shape.stem {
            Stem::Plain => Convolution::new(3, channels, 7, 2),
            Stem::Deep([_, second, _]) => Convolution::new(second, channels, 3, 1),
            Stem::Small => Convolution::new(3, channels, 3, 2),
        };
        let stage = |index| {
            let blocks = shape.stage(index);
            blocks.map(|block| Residual::new(block, device)).collect()
        };
        Self {
            stem: match shape.stem {
                Stem::Deep([first, second, _]) => Some(DeepStem {
                    first: ConvNorm::new(Convolution::new(3, first, 3, 2), device),
                    second: ConvNorm::new(Convolution::new(first, second, 3, 1), device),
                }),
                Stem::Plain | Stem::Small => None,
            },
            conv1: conv1.init(device),
            bn1: batch_norm(channels, device),
            maxpool: match shape.stem {
                Stem::Plain | Stem::Deep(_) => Some(
                    MaxPool2dConfig::new([3, 3])
                        .with_strides([2, 2])
                        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                        .init(),
                ),
                Stem::Small => None,
            },
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            fc: Classifier::new(shape.features(), classes, device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }

    /// What the stages take.
    fn before_stages(&self, images: Tensor<4>) -> Tensor<4> {
        let x = match &self.stem {
            Some(DeepStem { first, second }) => {
                let x = first.forward(images, Activation::Relu);
                second.forward(x, Activation::Relu)
            }
            None => images,
        };
        let x = conv2d(&self.conv1, x);
        let x = norm_act(&self.bn1, x, None, Activation::Relu);
        match &self.maxpool {
            Some(pool) => max_pool2d(pool, x),
            None => x,
        }
    }
}

impl Staged for ResNet {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.fc
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["stem", "conv1", "bn1"], |images| {
            self.before_stages(images)
        })];
        stages.extend(blocks("layer1", &self.layer1, Residual::forward));
        stages.extend(blocks("layer2", &self.layer2, Residual::forward));
        stages.extend(blocks("layer3", &self.layer3, Residual::forward));
        stages.extend(blocks("layer4", &self.layer4, Residual::forward));
        stages.push(Stage::new([], global_average));
        stages.push(Stage::new(["fc"], |x: Tensor<2>| self.fc.forward(x)));
        stages
    }

    fn settings(&self) -> Settings {
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        vec![
            ("depths", Setting::counts(&stages.map(Vec::len))),
            ("hidden_act", Setting::Word("relu")),
            (
                "downsample_in_first_stage",
                Setting::Flag(self.maxpool.is_none()),
            ),
        ]
    }
}
