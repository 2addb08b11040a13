//! Residual networks for small images: He et al. 2015 (arXiv:1512.03385, section 4.2).
//!
//! The parameters have the names of `pytorch_resnet_cifar10`: `conv1`, `bn1`, `layer1.0.conv1`, …,
//! `linear`.

use burn::Tensor;
use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::{Activation, norm_act};
use finetune_methods::conv2d;

use super::blocks::{Convolution, batch_norm, every, global_average};
use super::classifier::Classifier;
use super::init::Init;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, blocks, logits};

/// The networks of the paper, and those for images of 64×64, whose first convolution has stride 2.
pub(super) const ARCHITECTURES: &[Entry<CifarResNet>] = &[
    entry::<1, 1>("resnet8", None),
    entry::<2, 1>("resnet14", None),
    entry::<3, 1>("resnet20", None),
    entry::<5, 1>("resnet32", None),
    entry::<7, 1>("resnet44", None),
    entry::<9, 1>("resnet56", None),
    entry::<1, 2>("resnet8-64", Some("resnet8")),
    entry::<2, 2>("resnet14-64", Some("resnet14")),
    entry::<3, 2>("resnet20-64", Some("resnet20")),
];

const SPEC: Spec = Spec {
    name: "resnet8",
    aliases: &[],
    image_size: 32,
    sizes: Sizes::From(8),
    normalization: Normalization {
        mean: [0.5; 3],
        std: [0.25; 3],
    },
    filter: Filter::Bilinear,
    crop: 1.0,
    same_network_as: None,
    prefix_tokens: 0,
    head: "linear",
    targets: "all",
    blocks: None,
    drop_path: None,
    head_dropout: 0.0,
    init: Init::KaimingNormal,
    dialects: &[
        dialect("pytorch_resnet_cifar10", str::to_owned),
        dialect("others", with_fc),
    ],
};

const fn entry<const BLOCKS: usize, const STRIDE: usize>(
    name: &'static str,
    same_network_as: Option<&'static str>,
) -> Entry<CifarResNet> {
    Entry {
        spec: Spec {
            name,
            image_size: 32 * STRIDE,
            // It has another stride, but nobody else has these: a file of one says so itself.
            same_network_as,
            ..SPEC
        },
        build: |_, classes, device| CifarResNet::new(BLOCKS, STRIDE, classes, device),
    }
}

/// A residual network of depth `6n + 2`: three stages of `n` blocks, with 16, 32 and 64 channels.
#[derive(Module, Debug)]
pub struct CifarResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    linear: Classifier,
}

/// Two 3×3 convolutions and a shortcut.
#[derive(Module, Debug)]
pub(crate) struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    stride: usize,
}

impl CifarResNet {
    /// A network with `blocks` residual blocks per stage and `classes` outputs.
    ///
    /// `stride` is that of the first convolution. It is 1 in the paper, for images of 32×32; with 2,
    /// images of 64×64 give feature maps of the same sizes.
    #[must_use]
    pub fn new(blocks: usize, stride: usize, classes: usize, device: &Device) -> Self {
        let stage = |inputs: usize, outputs: usize, stride: usize| {
            (0..blocks)
                .map(|i| match i {
                    0 => BasicBlock::new(inputs, outputs, stride, device),
                    _ => BasicBlock::new(outputs, outputs, 1, device),
                })
                .collect()
        };
        Self {
            conv1: conv3x3(3, 16, stride, device),
            bn1: batch_norm(16, device),
            layer1: stage(16, 16, 1),
            layer2: stage(16, 32, 2),
            layer3: stage(32, 64, 2),
            linear: Classifier::new(64, classes, device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for CifarResNet {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.linear
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["conv1", "bn1"], |images| {
            norm_act(
                &self.bn1,
                conv2d(&self.conv1, images),
                None,
                Activation::Relu,
            )
        })];
        stages.extend(blocks("layer1", &self.layer1, BasicBlock::forward));
        stages.extend(blocks("layer2", &self.layer2, BasicBlock::forward));
        stages.extend(blocks("layer3", &self.layer3, BasicBlock::forward));
        stages.push(Stage::new([], global_average));
        stages.push(Stage::new(["linear"], |x: Tensor<2>| {
            self.linear.forward(x)
        }));
        stages
    }
}

impl BasicBlock {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        Self {
            conv1: conv3x3(inputs, outputs, stride, device),
            bn1: batch_norm(outputs, device),
            conv2: conv3x3(outputs, outputs, 1, device),
            bn2: batch_norm(outputs, device),
            stride,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = conv2d(&self.conv1, x.clone());
        let y = norm_act(&self.bn1, y, None, Activation::Relu);
        let y = conv2d(&self.conv2, y);
        let shortcut = shortcut(x, self.stride, y.dims()[1]);
        norm_act(&self.bn2, y, Some(shortcut), Activation::Relu)
    }
}

/// Option A of the paper: every `stride`-th pixel, and channels of zeros before and after the others.
fn shortcut(x: Tensor<4>, stride: usize, channels: usize) -> Tensor<4> {
    let inputs = x.dims()[1];
    if stride == 1 && inputs == channels {
        return x;
    }
    let x = every(x, stride);
    let [batch, _, height, width] = x.dims();
    let before = (channels - inputs) / 2;
    let after = channels - inputs - before;
    let zeros = |count| Tensor::zeros([batch, count, height, width], &x.device());
    Tensor::cat(vec![zeros(before), x.clone(), zeros(after)], 1)
}

fn conv3x3(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Conv2d {
    Convolution::new(inputs, outputs, 3, stride).init(device)
}

/// The names in other implementations, which call the fully connected layer `fc`.
fn with_fc(path: &str) -> String {
    match path.strip_prefix("linear.") {
        Some(rest) => format!("fc.{rest}"),
        None => path.to_owned(),
    }
}
