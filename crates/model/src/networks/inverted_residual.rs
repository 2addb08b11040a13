//! Networks of inverted residual blocks: MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381,
//! table 2) and EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946, table 1).

use burn::Tensor;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::Activation;
use finetune_methods::linear;

use super::blocks::{ConvNorm, Convolution, global_average};
use super::init::Init;
use super::names::renamed;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::squeeze::SqueezeExcitation;
use super::stages::{Stage, Staged, branching_blocks, logits, share};
use super::stochastic_depth::StochasticDepth;

pub(super) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    Entry {
        spec: Spec {
            aliases: &["mobilenetv2_100"],
            ..MOBILENET_V2_SPEC
        },
        build: |_, classes, device| InvertedResidualNet::mobilenet_v2(classes, device),
    },
    Entry {
        spec: Spec {
            name: "efficientnet_b0",
            filter: Filter::Bicubic,
            drop_path: Some(0.2),
            dialects: &[
                dialect("torchvision", torchvision_efficientnet),
                dialect("timm", timm_efficientnet),
            ],
            ..MOBILENET_V2_SPEC
        },
        build: |_, classes, device| InvertedResidualNet::efficientnet_b0(classes, device),
    },
];

const MOBILENET_V2_SPEC: Spec = Spec {
    name: "mobilenet_v2",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bilinear,
    crop: 0.875,
    prefix_tokens: 0,
    head: "classifier",
    // The 1×1 convolutions, which have nearly all of the weights: a depthwise one has 9 per channel.
    targets: r"(expand|project|last)\.conv\.",
    blocks: None,
    // timm can train MobileNetV2 with stochastic depth; nobody does so by default.
    drop_path: Some(0.0),
    head_dropout: 0.2,
    init: Init::KaimingNormal,
    dialects: &[
        dialect("torchvision", torchvision_mobilenet),
        dialect("timm", timm_mobilenet),
    ],
};

/// A stem, inverted residual blocks, a last 1×1 convolution and a classifier.
#[derive(Module, Debug)]
pub struct InvertedResidualNet {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
    classifier: Linear,
    #[module(skip)]
    activation: Activation,
}

/// Expansion (1×1), depthwise convolution (k×k), optional squeeze and excitation, projection (1×1). The
/// result is added to the input if both have the same shape.
#[derive(Module, Debug)]
pub(crate) struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    squeeze: Option<SqueezeExcitation>,
    project: ConvNorm,
    residual: bool,
    #[module(skip)]
    activation: Activation,
}

/// One row of the table in the paper.
#[derive(Debug, Clone, Copy)]
struct Row {
    expansion: usize,
    kernel: usize,
    stride: usize,
    channels: usize,
    blocks: usize,
}

const fn stage(
    expansion: usize,
    kernel: usize,
    stride: usize,
    channels: usize,
    blocks: usize,
) -> Row {
    Row {
        expansion,
        kernel,
        stride,
        channels,
        blocks,
    }
}

const MOBILENET_V2: [Row; 7] = [
    stage(1, 3, 1, 16, 1),
    stage(6, 3, 2, 24, 2),
    stage(6, 3, 2, 32, 3),
    stage(6, 3, 2, 64, 4),
    stage(6, 3, 1, 96, 3),
    stage(6, 3, 2, 160, 3),
    stage(6, 3, 1, 320, 1),
];

const EFFICIENTNET_B0: [Row; 7] = [
    stage(1, 3, 1, 16, 1),
    stage(6, 3, 2, 24, 2),
    stage(6, 5, 2, 40, 2),
    stage(6, 3, 2, 80, 3),
    stage(6, 5, 1, 112, 3),
    stage(6, 5, 2, 192, 4),
    stage(6, 3, 1, 320, 1),
];

impl InvertedResidualNet {
    /// MobileNetV2 of width 1.
    #[must_use]
    pub fn mobilenet_v2(classes: usize, device: &Device) -> Self {
        Self::new(&MOBILENET_V2, false, Activation::Relu6, classes, device)
    }

    /// EfficientNet-B0.
    #[must_use]
    pub fn efficientnet_b0(classes: usize, device: &Device) -> Self {
        Self::new(&EFFICIENTNET_B0, true, Activation::Silu, classes, device)
    }

    fn new(
        stages: &[Row],
        squeeze: bool,
        activation: Activation,
        classes: usize,
        device: &Device,
    ) -> Self {
        let mut inputs = 32;
        let mut blocks = Vec::new();
        for stage in stages {
            for index in 0..stage.blocks {
                let first = Row {
                    stride: if index == 0 { stage.stride } else { 1 },
                    ..*stage
                };
                blocks.push(InvertedResidual::new(
                    inputs, first, squeeze, activation, device,
                ));
                inputs = stage.channels;
            }
        }
        Self {
            stem: ConvNorm::new(Convolution::new(3, 32, 3, 2), device),
            blocks,
            last: ConvNorm::new(Convolution::new(inputs, 1280, 1, 1), device),
            classifier: LinearConfig::new(1280, classes).init(device),
            activation,
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for InvertedResidualNet {
    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["stem"], |images| {
            self.stem.forward(images, self.activation)
        })];
        // Divided by their number: unlike in ConvNeXt, the last block does not reach the probability.
        let count = self.blocks.len();
        stages.extend(branching_blocks(
            "blocks",
            &self.blocks,
            move |index| share(index, count),
            InvertedResidual::forward,
        ));
        stages.push(Stage::new(["last"], |x| {
            self.last.forward(x, self.activation)
        }));
        stages.push(Stage::new([], global_average));
        stages.push(Stage::new(["classifier"], |x: Tensor<2>| {
            linear(&self.classifier, x)
        }));
        stages
    }
}

impl InvertedResidual {
    fn new(
        inputs: usize,
        stage: Row,
        squeeze: bool,
        activation: Activation,
        device: &Device,
    ) -> Self {
        let wide = inputs * stage.expansion;
        Self {
            expand: (stage.expansion > 1)
                .then(|| ConvNorm::new(Convolution::new(inputs, wide, 1, 1), device)),
            depthwise: ConvNorm::new(
                Convolution::depthwise(wide, stage.kernel, stage.stride),
                device,
            ),
            squeeze: squeeze
                .then(|| SqueezeExcitation::new(wide, (inputs / 4).max(1), activation, device)),
            project: ConvNorm::new(Convolution::new(wide, stage.channels, 1, 1), device),
            residual: stage.stride == 1 && inputs == stage.channels,
            activation,
        }
    }

    fn forward(&self, x: Tensor<4>, depth: StochasticDepth<'_>) -> Tensor<4> {
        let mut y = x.clone();
        if let Some(expand) = &self.expand {
            y = expand.forward(y, self.activation);
        }
        y = self.depthwise.forward(y, self.activation);
        if let Some(squeeze) = &self.squeeze {
            y = squeeze.forward(y);
        }
        if self.residual && !depth.is_on() {
            return self.project.forward_and_add(y, x);
        }
        let y = self.project.forward(y, Activation::Identity);
        if self.residual {
            x + depth.scaled(0, y)
        } else {
            y
        }
    }
}

/// Splits a path into the index of a block, if it begins with one, and the rest.
fn split(path: &str) -> (Option<usize>, &str) {
    let block = path
        .strip_prefix("blocks.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(index, rest)| Some((index.parse().ok()?, rest)));
    match block {
        Some((index, rest)) => (Some(index), rest),
        None => (None, path),
    }
}

/// The stage of block `index`, and the index of the block in it.
fn place(stages: &[Row], mut index: usize) -> (usize, usize) {
    for (number, stage) in stages.iter().enumerate() {
        if index < stage.blocks {
            return (number, index);
        }
        index -= stage.blocks;
    }
    (stages.len(), index)
}

/// The names of torchvision for MobileNetV2.
fn torchvision_mobilenet(path: &str) -> String {
    match split(path) {
        (None, rest) => renamed(
            rest,
            &[
                ("stem.conv", "features.0.0"),
                ("stem.norm", "features.0.1"),
                ("last.conv", "features.18.0"),
                ("last.norm", "features.18.1"),
                ("classifier", "classifier.1"),
            ],
        ),
        (Some(0), rest) => {
            let rest = renamed(
                rest,
                &[
                    ("depthwise.conv", "0.0"),
                    ("depthwise.norm", "0.1"),
                    ("project.conv", "1"),
                    ("project.norm", "2"),
                ],
            );
            format!("features.1.conv.{rest}")
        }
        (Some(index), rest) => {
            let rest = renamed(
                rest,
                &[
                    ("expand.conv", "0.0"),
                    ("expand.norm", "0.1"),
                    ("depthwise.conv", "1.0"),
                    ("depthwise.norm", "1.1"),
                    ("project.conv", "2"),
                    ("project.norm", "3"),
                ],
            );
            format!("features.{}.conv.{rest}", index + 1)
        }
    }
}

/// The names of torchvision for EfficientNet-B0.
fn torchvision_efficientnet(path: &str) -> String {
    match split(path) {
        (None, rest) => renamed(
            rest,
            &[
                ("stem.conv", "features.0.0"),
                ("stem.norm", "features.0.1"),
                ("last.conv", "features.8.0"),
                ("last.norm", "features.8.1"),
                ("classifier", "classifier.1"),
            ],
        ),
        (Some(index), rest) => {
            let (stage, block) = place(&EFFICIENTNET_B0, index);
            let names: &[(&str, &str)] = if stage == 0 {
                &[
                    ("depthwise.conv", "0.0"),
                    ("depthwise.norm", "0.1"),
                    ("squeeze.reduce", "1.fc1"),
                    ("squeeze.expand", "1.fc2"),
                    ("project.conv", "2.0"),
                    ("project.norm", "2.1"),
                ]
            } else {
                &[
                    ("expand.conv", "0.0"),
                    ("expand.norm", "0.1"),
                    ("depthwise.conv", "1.0"),
                    ("depthwise.norm", "1.1"),
                    ("squeeze.reduce", "2.fc1"),
                    ("squeeze.expand", "2.fc2"),
                    ("project.conv", "3.0"),
                    ("project.norm", "3.1"),
                ]
            };
            format!(
                "features.{}.{block}.block.{}",
                stage + 1,
                renamed(rest, names)
            )
        }
    }
}

/// The names of timm for MobileNetV2 (`mobilenetv2_100`).
fn timm_mobilenet(path: &str) -> String {
    timm(&MOBILENET_V2, path)
}

/// The names of timm for EfficientNet-B0.
fn timm_efficientnet(path: &str) -> String {
    timm(&EFFICIENTNET_B0, path)
}

fn timm(stages: &[Row], path: &str) -> String {
    let (index, rest) = split(path);
    let Some(index) = index else {
        return renamed(
            rest,
            &[
                ("stem.conv", "conv_stem"),
                ("stem.norm", "bn1"),
                ("last.conv", "conv_head"),
                ("last.norm", "bn2"),
            ],
        );
    };
    let (stage, block) = place(stages, index);
    let names: &[(&str, &str)] = if stages[stage].expansion == 1 {
        &[
            ("depthwise.conv", "conv_dw"),
            ("depthwise.norm", "bn1"),
            ("squeeze.reduce", "se.conv_reduce"),
            ("squeeze.expand", "se.conv_expand"),
            ("project.conv", "conv_pw"),
            ("project.norm", "bn2"),
        ]
    } else {
        &[
            ("expand.conv", "conv_pw"),
            ("expand.norm", "bn1"),
            ("depthwise.conv", "conv_dw"),
            ("depthwise.norm", "bn2"),
            ("squeeze.reduce", "se.conv_reduce"),
            ("squeeze.expand", "se.conv_expand"),
            ("project.conv", "conv_pwl"),
            ("project.norm", "bn3"),
        ]
    };
    format!("blocks.{stage}.{block}.{}", renamed(rest, names))
}
