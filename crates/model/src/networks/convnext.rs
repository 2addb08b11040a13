//! `ConvNeXt`: Liu et al. 2022 (arXiv:2201.03545, figure 4 and section 2).

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::tokens::gelu;
use finetune_methods::{conv2d, linear};

use super::blocks::{Convolution, global_average, layer_norm, normalized};
use super::init::Init;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, branching_blocks, logits, share};
use super::stochastic_depth::StochasticDepth;

pub(super) const ARCHITECTURES: &[Entry<ConvNext>] = &[Entry {
    spec: Spec {
        name: "convnext_tiny",
        aliases: &[],
        image_size: 224,
        sizes: Sizes::From(32),
        normalization: Normalization::IMAGENET,
        filter: Filter::Bilinear,
        crop: 224.0 / 236.0,
        same_network_as: None,
        prefix_tokens: 0,
        head: "head",
        targets: r"fc[12]\.",
        blocks: None,
        drop_path: Some(0.1),
        head_dropout: 0.0,
        init: Init::Normal,
        dialects: &[dialect("torchvision", torchvision), dialect("timm", timm)],
    },
    build: |_, classes, device| ConvNext::tiny(classes, device),
}];

/// A patch stem and four stages.
#[derive(Module, Debug)]
pub struct ConvNext {
    stem: Conv2d,
    stem_norm: LayerNorm,
    stages: Vec<ConvNextStage>,
    norm: LayerNorm,
    head: Linear,
}

/// A downsampling that halves the size (not in the first stage), and blocks.
#[derive(Module, Debug)]
pub(crate) struct ConvNextStage {
    downsample_norm: Option<LayerNorm>,
    downsample: Option<Conv2d>,
    blocks: Vec<ConvNextBlock>,
}

/// A depthwise 7×7 convolution and a perceptron per pixel, scaled and added to the input.
#[derive(Module, Debug)]
pub(crate) struct ConvNextBlock {
    conv_dw: Conv2d,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    /// `[channels]`.
    layer_scale: Param<Tensor<1>>,
}

impl ConvNext {
    /// `ConvNeXt`-Tiny with `classes` outputs.
    #[must_use]
    pub fn tiny(classes: usize, device: &Device) -> Self {
        let (depths, widths) = ([3, 3, 9, 3], [96, 192, 384, 768]);
        let stages = (0..4).map(|index| {
            let width = widths[index];
            let below = index.checked_sub(1).map(|below| widths[below]);
            ConvNextStage {
                downsample_norm: below.map(|below| layer_norm(below, device)),
                downsample: below.map(|below| patches(below, width, 2, device)),
                blocks: (0..depths[index])
                    .map(|_| ConvNextBlock::new(width, device))
                    .collect(),
            }
        });
        Self {
            stem: patches(3, widths[0], 4, device),
            stem_norm: layer_norm(widths[0], device),
            stages: stages.collect(),
            norm: layer_norm(widths[3], device),
            head: LinearConfig::new(widths[3], classes).init(device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for ConvNext {
    /// timm has the normalisation in its head.
    fn beside_head(&self) -> &'static [&'static str] {
        &["norm"]
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["stem", "stem_norm"], |images| {
            over_channels(&self.stem_norm, conv2d(&self.stem, images))
        })];
        let last = self
            .stages
            .iter()
            .map(|stage| stage.blocks.len())
            .sum::<usize>()
            - 1;
        let mut below = 0;
        for (index, stage) in self.stages.iter().enumerate() {
            let path = format!("stages.{index}");
            if let (Some(norm), Some(conv)) = (&stage.downsample_norm, &stage.downsample) {
                let paths = ["downsample_norm", "downsample"].map(|name| format!("{path}.{name}"));
                let paths = paths.iter().map(String::as_str);
                stages.push(Stage::new(paths, |x| conv2d(conv, over_channels(norm, x))));
            }
            let path = format!("{path}.blocks");
            stages.extend(branching_blocks(
                &path,
                &stage.blocks,
                move |index| share(below + index, last),
                ConvNextBlock::forward,
            ));
            below += stage.blocks.len();
        }
        stages.push(Stage::new([], global_average));
        stages.push(Stage::new(["norm"], |x: Tensor<2>| {
            normalized(&self.norm, x)
        }));
        stages.push(Stage::new(["head"], |x: Tensor<2>| linear(&self.head, x)));
        stages
    }
}

impl ConvNextBlock {
    fn new(width: usize, device: &Device) -> Self {
        Self {
            conv_dw: Convolution::depthwise(width, 7, 1).init_with_bias(device),
            norm: layer_norm(width, device),
            fc1: LinearConfig::new(width, 4 * width).init(device),
            fc2: LinearConfig::new(4 * width, width).init(device),
            layer_scale: burn::nn::Initializer::Constant { value: 1e-6 }.init([width], device),
        }
    }

    fn forward(&self, x: Tensor<4>, depth: StochasticDepth<'_>) -> Tensor<4> {
        let y = conv2d(&self.conv_dw, x.clone()).permute([0, 2, 3, 1]);
        let y = gelu(linear(&self.fc1, normalized(&self.norm, y)));
        let y = linear(&self.fc2, y) * self.layer_scale.val().unsqueeze::<4>();
        x + depth.scaled(0, y.permute([0, 3, 1, 2]))
    }
}

/// A convolution whose kernel size and stride are `side`.
fn patches(inputs: usize, outputs: usize, side: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([inputs, outputs], [side, side])
        .with_stride([side, side])
        .init(device)
}

/// Normalises the channels of each pixel.
fn over_channels(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    normalized(norm, x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
}

/// Splits a path into the index of its stage and the rest; `None` outside of the stages.
fn stage(path: &str) -> Option<(usize, &str)> {
    let (index, rest) = path.strip_prefix("stages.")?.split_once('.')?;
    Some((index.parse().ok()?, rest))
}

/// The names of torchvision.
fn torchvision(path: &str) -> String {
    let Some((index, rest)) = stage(path) else {
        return match path.split_once('.') {
            Some(("stem", rest)) => format!("features.0.0.{rest}"),
            Some(("stem_norm", rest)) => format!("features.0.1.{rest}"),
            Some(("norm", rest)) => format!("classifier.0.{rest}"),
            Some(("head", rest)) => format!("classifier.2.{rest}"),
            _ => path.to_owned(),
        };
    };
    match rest.split_once('.') {
        Some(("downsample_norm", rest)) => format!("features.{}.0.{rest}", 2 * index),
        Some(("downsample", rest)) => format!("features.{}.1.{rest}", 2 * index),
        Some(("blocks", rest)) => {
            let rest = rest
                .replace(".conv_dw.", ".block.0.")
                .replace(".norm.", ".block.2.")
                .replace(".fc1.", ".block.3.")
                .replace(".fc2.", ".block.5.");
            format!("features.{}.{rest}", 2 * index + 1)
        }
        _ => path.to_owned(),
    }
}

/// The names of timm.
fn timm(path: &str) -> String {
    let Some((index, rest)) = stage(path) else {
        return match path.split_once('.') {
            Some(("stem", rest)) => format!("stem.0.{rest}"),
            Some(("stem_norm", rest)) => format!("stem.1.{rest}"),
            Some(("norm", rest)) => format!("head.norm.{rest}"),
            Some(("head", rest)) => format!("head.fc.{rest}"),
            _ => path.to_owned(),
        };
    };
    let rest = match rest.split_once('.') {
        Some(("downsample_norm", rest)) => format!("downsample.0.{rest}"),
        Some(("downsample", rest)) => format!("downsample.1.{rest}"),
        _ => rest
            .replace(".fc1.", ".mlp.fc1.")
            .replace(".fc2.", ".mlp.fc2.")
            .replace(".layer_scale", ".gamma"),
    };
    format!("stages.{index}.{rest}")
}
