//! Residual networks for `ImageNet`: He et al. 2015 (arXiv:1512.03385, table 1).
//!
//! The parameters have the names of torchvision and timm, except for the convolution and normalisation
//! of the shortcut, which are `downsample.0` and `downsample.1` there. The 3×3 convolution of a
//! bottleneck has the stride, as in both libraries ("ResNet v1.5").

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::{Activation, norm_act};
use finetune_kernels::pool::max_pool2d;
use finetune_methods::{conv2d, linear};

use super::blocks::{ConvNorm, Convolution, batch_norm, global_average};
use super::init::Init;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, blocks, logits};

pub(super) const ARCHITECTURES: &[Entry<ResNet>] = &[
    Entry {
        spec: SPEC,
        build: |_, classes, device| ResNet::new([2, 2, 2, 2], false, classes, device),
    },
    Entry {
        spec: Spec {
            name: "resnet34",
            ..SPEC
        },
        build: |_, classes, device| ResNet::new([3, 4, 6, 3], false, classes, device),
    },
    Entry {
        spec: Spec {
            name: "resnet50",
            ..SPEC
        },
        build: |_, classes, device| ResNet::new([3, 4, 6, 3], true, classes, device),
    },
];

const SPEC: Spec = Spec {
    name: "resnet18",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bilinear,
    crop: 0.875,
    same_network_as: None,
    prefix_tokens: 0,
    head: "fc",
    targets: "all",
    blocks: None,
    drop_path: None,
    head_dropout: 0.0,
    init: Init::KaimingNormal,
    dialects: &[dialect("torchvision, timm", torchvision)],
};

/// A residual network of four stages.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: MaxPool2d,
    layer1: Vec<Residual>,
    layer2: Vec<Residual>,
    layer3: Vec<Residual>,
    layer4: Vec<Residual>,
    fc: Linear,
}

/// A basic block (two 3×3 convolutions) or a bottleneck (1×1, 3×3 and 1×1), with a shortcut.
#[derive(Module, Debug)]
pub(crate) struct Residual {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    downsample: Option<ConvNorm>,
}

impl ResNet {
    /// A network with `blocks` residual blocks in its four stages, bottlenecks or basic blocks, and
    /// `classes` outputs.
    #[must_use]
    pub fn new(blocks: [usize; 4], bottleneck: bool, classes: usize, device: &Device) -> Self {
        let mut inputs = 64;
        let mut stage = |index: usize| {
            let width = 64 << index;
            (0..blocks[index])
                .map(|block| {
                    let stride = if block == 0 && index > 0 { 2 } else { 1 };
                    let residual = Residual::new(inputs, width, stride, bottleneck, device);
                    inputs = if bottleneck { 4 * width } else { width };
                    residual
                })
                .collect::<Vec<_>>()
        };
        let (layer1, layer2, layer3, layer4) = (stage(0), stage(1), stage(2), stage(3));
        Self {
            conv1: Convolution::new(3, 64, 7, 2).init(device),
            bn1: batch_norm(64, device),
            maxpool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: LinearConfig::new(inputs, classes).init(device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for ResNet {
    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["conv1", "bn1"], |images| {
            let x = conv2d(&self.conv1, images);
            max_pool2d(
                &self.maxpool,
                norm_act(&self.bn1, x, None, Activation::Relu),
            )
        })];
        stages.extend(blocks("layer1", &self.layer1, Residual::forward));
        stages.extend(blocks("layer2", &self.layer2, Residual::forward));
        stages.extend(blocks("layer3", &self.layer3, Residual::forward));
        stages.extend(blocks("layer4", &self.layer4, Residual::forward));
        stages.push(Stage::new([], global_average));
        stages.push(Stage::new(["fc"], |x: Tensor<2>| linear(&self.fc, x)));
        stages
    }
}

impl Residual {
    fn new(inputs: usize, width: usize, stride: usize, bottleneck: bool, device: &Device) -> Self {
        let outputs = if bottleneck { 4 * width } else { width };
        let (first, second) = if bottleneck {
            ((1, 1), (3, stride))
        } else {
            ((3, stride), (3, 1))
        };
        let conv = |inputs, outputs, (kernel, stride)| {
            Convolution::new(inputs, outputs, kernel, stride).init(device)
        };
        Self {
            conv1: conv(inputs, width, first),
            bn1: batch_norm(width, device),
            conv2: conv(width, width, second),
            bn2: batch_norm(width, device),
            conv3: bottleneck.then(|| conv(width, outputs, (1, 1))),
            bn3: bottleneck.then(|| batch_norm(outputs, device)),
            // Option B of the paper: a projection if the shape changes.
            downsample: (stride != 1 || inputs != outputs)
                .then(|| ConvNorm::new(Convolution::new(inputs, outputs, 1, stride), device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let relu = |norm, y| norm_act(norm, y, None, Activation::Relu);
        let mut y = relu(&self.bn1, conv2d(&self.conv1, x.clone()));
        y = conv2d(&self.conv2, y);
        let mut last = &self.bn2;
        if let (Some(conv), Some(norm)) = (&self.conv3, &self.bn3) {
            y = conv2d(conv, relu(last, y));
            last = norm;
        }
        let shortcut = match &self.downsample {
            Some(projection) => projection.forward(x, Activation::Identity),
            None => x,
        };
        norm_act(last, y, Some(shortcut), Activation::Relu)
    }
}

/// The names of torchvision and timm.
fn torchvision(path: &str) -> String {
    path.replace("downsample.conv.", "downsample.0.")
        .replace("downsample.norm.", "downsample.1.")
}
