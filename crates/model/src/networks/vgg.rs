//! VGG: Simonyan and Zisserman 2014 (arXiv:1409.1556, table 1), also with batch normalisation, as in
//! torchvision.

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::relu;
use burn::tensor::module::adaptive_avg_pool2d;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::{Activation, norm_act};
use finetune_kernels::pool::{max_pool2d, relu_max_pool2d};
use finetune_methods::{conv2d, linear};

use super::blocks::{Convolution, batch_norm};
use super::classifier::Classifier;
use super::init::Init;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, blocks, logits};

pub(super) const ARCHITECTURES: &[Entry<Vgg>] = &[
    entry::<1, 2, false>("vgg11"),
    entry::<2, 2, false>("vgg13"),
    entry::<2, 3, false>("vgg16"),
    entry::<2, 4, false>("vgg19"),
    entry::<1, 2, true>("vgg11_bn"),
    entry::<2, 2, true>("vgg13_bn"),
    entry::<2, 3, true>("vgg16_bn"),
    entry::<2, 4, true>("vgg19_bn"),
];

/// `FIRST` convolutions in each of the first two stages, `REST` in the others, with normalisations if
/// `NORM`.
const fn entry<const FIRST: usize, const REST: usize, const NORM: bool>(
    name: &'static str,
) -> Entry<Vgg> {
    Entry {
        spec: Spec {
            name,
            aliases: &[],
            image_size: 224,
            sizes: Sizes::From(32),
            normalization: Normalization::IMAGENET,
            filter: Filter::Bilinear,
            crop: 0.875,
            same_network_as: None,
            prefix_tokens: 0,
            head: "head",
            targets: "all",
            blocks: None,
            drop_path: None,
            // torchvision has another one of this probability between the hidden layers.
            head_dropout: 0.5,
            init: Init::KaimingNormal,
            dialects: const {
                &[
                    dialect("torchvision", torchvision::<FIRST, REST, NORM>),
                    dialect("timm", timm::<FIRST, REST, NORM>).shaped(of_convolutions),
                ]
            },
        },
        build: |_, classes, device| {
            let convolutions = [FIRST, FIRST, REST, REST, REST];
            Vgg::new(convolutions, NORM, classes, device)
        },
    }
}

/// Side of the map that the first hidden layer takes.
const SIDE: usize = 7;

/// Width of the hidden layers.
const HIDDEN: usize = 4096;

/// Five stages of 3×3 convolutions, each followed by a pooling, and a classifier with two hidden layers.
#[derive(Module, Debug)]
pub struct Vgg {
    stages: Vec<VggStage>,
    fc1: Linear,
    fc2: Linear,
    head: Classifier,
}

#[derive(Module, Debug)]
pub(crate) struct VggStage {
    blocks: Vec<VggBlock>,
}

/// A 3×3 convolution, an optional normalisation and a ReLU; after the last one of a stage, a pooling.
#[derive(Module, Debug)]
pub(crate) struct VggBlock {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    pool: Option<MaxPool2d>,
}

impl Vgg {
    /// A network with so many convolutions in its five stages, with or without normalisations, and
    /// `classes` outputs.
    #[must_use]
    pub fn new(convolutions: [usize; 5], norm: bool, classes: usize, device: &Device) -> Self {
        let mut inputs = 3;
        let stages = convolutions.into_iter().enumerate().map(|(stage, count)| {
            let width = (64 << stage).min(512);
            let blocks = (1..=count).map(|number| {
                let convolution = Convolution::new(inputs, width, 3, 1);
                inputs = width;
                VggBlock {
                    conv: convolution.init_with_bias(device),
                    norm: norm.then(|| batch_norm(width, device)),
                    pool: (number == count)
                        .then(|| MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()),
                }
            });
            VggStage {
                blocks: blocks.collect(),
            }
        });
        let stages = stages.collect();
        Self {
            stages,
            fc1: LinearConfig::new(inputs * SIDE * SIDE, HIDDEN).init(device),
            fc2: LinearConfig::new(HIDDEN, HIDDEN).init(device),
            head: Classifier::new(HIDDEN, classes, device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for Vgg {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.head
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let path = format!("stages.{index}.blocks");
            stages.extend(blocks(&path, &stage.blocks, VggBlock::forward));
        }
        stages.push(Stage::new([], flattened));
        for (path, layer) in [("fc1", &self.fc1), ("fc2", &self.fc2)] {
            stages.push(Stage::new([path], |x: Tensor<2>| relu(linear(layer, x))));
        }
        stages.push(Stage::new(["head"], |x: Tensor<2>| self.head.forward(x)));
        stages
    }
}

impl VggBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = conv2d(&self.conv, x);
        match (&self.norm, &self.pool) {
            (None, None) => relu(x),
            (None, Some(pool)) => relu_max_pool2d(pool, x),
            (Some(norm), None) => norm_act(norm, x, None, Activation::Relu),
            (Some(norm), Some(pool)) => max_pool2d(pool, norm_act(norm, x, None, Activation::Relu)),
        }
    }
}

/// A map of 7×7 means of the maps, as a vector; of images of 224×224, the map itself.
fn flattened(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    let x = if [height, width] == [SIDE; 2] {
        x
    } else {
        adaptive_avg_pool2d(x, [SIDE; 2])
    };
    x.reshape([batch, channels * SIDE * SIDE])
}

/// The name of a path within the stages, which torchvision and timm number from the first layer on,
/// ReLUs and poolings included.
fn numbered<const FIRST: usize, const REST: usize, const NORM: bool>(path: &str) -> Option<String> {
    let mut parts = path.strip_prefix("stages.")?.splitn(5, '.');
    let stage: usize = parts.next()?.parse().ok()?;
    let block: usize = parts.nth(1)?.parse().ok()?;
    let (layer, rest) = (parts.next()?, parts.next()?);
    let before = FIRST * stage.min(2) + REST * stage.saturating_sub(2) + block;
    let layers = if NORM { 3 } else { 2 };
    let index = layers * before + stage + usize::from(layer == "norm");
    Some(format!("features.{index}.{rest}"))
}

/// The names of torchvision.
fn torchvision<const FIRST: usize, const REST: usize, const NORM: bool>(path: &str) -> String {
    numbered::<FIRST, REST, NORM>(path).unwrap_or_else(|| {
        path.replacen("fc1.", "classifier.0.", 1)
            .replacen("fc2.", "classifier.3.", 1)
            .replacen("head.", "classifier.6.", 1)
    })
}

/// The names of timm.
fn timm<const FIRST: usize, const REST: usize, const NORM: bool>(path: &str) -> String {
    numbered::<FIRST, REST, NORM>(path).unwrap_or_else(|| {
        path.replacen("fc", "pre_logits.fc", 1)
            .replacen("head.", "head.fc.", 1)
    })
}

/// timm's hidden layers are convolutions of a map of 7×7.
fn of_convolutions(path: &str, shape: &mut Vec<usize>) {
    match path {
        "fc1.weight" => {
            shape[1] /= SIDE * SIDE;
            shape.extend([SIDE; 2]);
        }
        "fc2.weight" => shape.extend([1, 1]),
        _ => {}
    }
}
