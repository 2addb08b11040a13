//! `DenseNet`: Huang et al. 2016 (arXiv:1608.06993, table 1).

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::{Activation, norm_act};
use finetune_kernels::pool::max_pool2d;
use finetune_methods::conv2d;

use super::blocks::{Convolution, batch_norm, global_average};
use super::classifier::Classifier;
use super::init::Init;
use super::names::Names;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, blocks, logits};

pub(super) const ARCHITECTURES: &[Entry<DenseNet>] = &[
    entry::<32, 24, 16>("densenet121"),
    entry::<48, 36, 24>("densenet161"),
    entry::<32, 32, 32>("densenet169"),
    entry::<32, 48, 32>("densenet201"),
];

/// All have 6 and 12 layers in their first two blocks.
const fn entry<const GROWTH: usize, const THIRD: usize, const FOURTH: usize>(
    name: &'static str,
) -> Entry<DenseNet> {
    Entry {
        spec: Spec { name, ..SPEC },
        build: |_, classes, device| DenseNet::new(GROWTH, [6, 12, THIRD, FOURTH], classes, device),
    }
}

const SPEC: Spec = Spec {
    name: "densenet",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bicubic,
    crop: 0.875,
    same_network_as: None,
    prefix_tokens: 0,
    head: "classifier",
    targets: r"\.conv[12]\.|\.transition\.",
    blocks: None,
    drop_path: None,
    head_dropout: 0.0,
    init: Init::KaimingNormal,
    dialects: &[
        dialect("torchvision, timm", torchvision),
        dialect("torchvision", torchvision_old),
    ],
};

/// A convolution and a pooling, four dense blocks with a transition between them, and a classifier.
#[derive(Module, Debug)]
pub struct DenseNet {
    conv0: Conv2d,
    norm0: BatchNorm,
    maxpool: MaxPool2d,
    stages: Vec<DenseStage>,
    norm5: BatchNorm,
    classifier: Classifier,
}

/// A transition that halves channels and size (not in the first stage), and the layers of a dense block.
#[derive(Module, Debug)]
pub(crate) struct DenseStage {
    transition_norm: Option<BatchNorm>,
    transition: Option<Conv2d>,
    pool: AvgPool2d,
    blocks: Vec<DenseLayer>,
}

/// A 1×1 and a 3×3 convolution, whose result is appended to the channels of the input.
#[derive(Module, Debug)]
pub(crate) struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
}

impl DenseNet {
    /// A network whose layers append `growth` channels each, with so many layers in its four blocks and
    /// `classes` outputs.
    #[must_use]
    pub fn new(growth: usize, layers: [usize; 4], classes: usize, device: &Device) -> Self {
        let first = 2 * growth;
        let mut channels = first;
        let mut stages = Vec::with_capacity(layers.len());
        for (index, count) in layers.into_iter().enumerate() {
            let below = (index > 0).then_some(channels);
            if index > 0 {
                channels /= 2;
            }
            let halved = |inputs| Convolution::new(inputs, inputs / 2, 1, 1).init(device);
            let layer = |number| DenseLayer::new(channels + number * growth, growth, device);
            stages.push(DenseStage {
                transition_norm: below.map(|below| batch_norm(below, device)),
                transition: below.map(halved),
                pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
                blocks: (0..count).map(layer).collect(),
            });
            channels += count * growth;
        }
        Self {
            conv0: Convolution::new(3, first, 7, 2).init(device),
            norm0: batch_norm(first, device),
            maxpool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            stages,
            norm5: batch_norm(channels, device),
            classifier: Classifier::new(channels, classes, device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for DenseNet {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.classifier
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["conv0", "norm0"], |images| {
            let x = rectified(&self.norm0, conv2d(&self.conv0, images));
            max_pool2d(&self.maxpool, x)
        })];
        for (index, stage) in self.stages.iter().enumerate() {
            let path = format!("stages.{index}");
            if let (Some(norm), Some(conv)) = (&stage.transition_norm, &stage.transition) {
                let paths = ["transition_norm", "transition"].map(|name| format!("{path}.{name}"));
                let paths = paths.iter().map(String::as_str);
                // A mean of what a 1×1 convolution computes is what it computes of a mean, from a quarter
                // of the pixels.
                stages.push(Stage::new(paths, |x| {
                    conv2d(conv, stage.pool.forward(rectified(norm, x)))
                }));
            }
            let path = format!("{path}.blocks");
            stages.extend(blocks(&path, &stage.blocks, DenseLayer::forward));
        }
        stages.push(Stage::new(["norm5"], |x| {
            global_average(rectified(&self.norm5, x))
        }));
        stages.push(Stage::new(["classifier"], |x: Tensor<2>| {
            self.classifier.forward(x)
        }));
        stages
    }
}

impl DenseLayer {
    fn new(inputs: usize, growth: usize, device: &Device) -> Self {
        let between = 4 * growth;
        Self {
            norm1: batch_norm(inputs, device),
            conv1: Convolution::new(inputs, between, 1, 1).init(device),
            norm2: batch_norm(between, device),
            conv2: Convolution::new(between, growth, 3, 1).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = conv2d(&self.conv1, rectified(&self.norm1, x.clone()));
        let y = conv2d(&self.conv2, rectified(&self.norm2, y));
        Tensor::cat(vec![x, y], 1)
    }
}

fn rectified(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    norm_act(norm, x, None, Activation::Relu)
}

/// The names of torchvision and timm.
fn torchvision(path: &str) -> String {
    const NAMES: Names = Names {
        outside: &[
            ("conv0", "features.conv0"),
            ("norm0", "features.norm0"),
            ("norm5", "features.norm5"),
        ],
        between: &[
            ("transition_norm", |stage| {
                format!("features.transition{stage}.norm")
            }),
            ("transition", |stage| {
                format!("features.transition{stage}.conv")
            }),
        ],
        block: |stage, layer| format!("features.denseblock{}.denselayer{}", stage + 1, layer + 1),
        inside: &[],
    };
    NAMES.of(path)
}

/// The names of torchvision before version 0.4, which its published weights files still have.
fn torchvision_old(path: &str) -> String {
    torchvision(path)
        .replace(".norm1.", ".norm.1.")
        .replace(".conv1.", ".conv.1.")
        .replace(".norm2.", ".norm.2.")
        .replace(".conv2.", ".conv.2.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_those_of_torchvisions_published_files() {
        // densenet121-a639ec97.pth.
        for (path, name) in [
            ("conv0.weight", "features.conv0.weight"),
            (
                "stages.1.transition_norm.weight",
                "features.transition1.norm.weight",
            ),
            (
                "stages.0.blocks.5.norm1.running_mean",
                "features.denseblock1.denselayer6.norm.1.running_mean",
            ),
            (
                "stages.3.blocks.0.conv2.weight",
                "features.denseblock4.denselayer1.conv.2.weight",
            ),
        ] {
            assert_eq!(torchvision_old(path), name);
        }
    }
}
