//! `ConvNeXt`: Liu et al. 2022 (arXiv:2201.03545, figure 4 and section 2), and its second version with
//! global response normalisation: Woo et al. 2023 (arXiv:2301.00808).

pub(super) mod first;
mod names;
mod response;
pub(super) mod second;

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use finetune_kernels::tokens::gelu;
use finetune_methods::{conv2d, linear};

use self::response::ResponseNorm;
use super::blocks::{Convolution, global_average, layer_norm, normalized};
use super::classifier::Classifier;
use super::settings::{Setting, Settings};
use super::spec::{Entry, Spec};
use super::stages::{Stage, Staged, branching_blocks, logits, share};
use super::stochastic_depth::StochasticDepth;

/// A patch stem and four stages.
#[derive(Module, Debug)]
pub struct ConvNext {
    stem: Conv2d,
    stem_norm: LayerNorm,
    stages: Vec<ConvNextStage>,
    norm: LayerNorm,
    head: Classifier,
    #[module(skip)]
    size: ConvNextSize,
}

/// A downsampling that halves the size (not in the first stage), and blocks.
#[derive(Module, Debug)]
pub(crate) struct ConvNextStage {
    downsample_norm: Option<LayerNorm>,
    downsample: Option<Conv2d>,
    blocks: Vec<ConvNextBlock>,
}

/// A depthwise 7×7 convolution and a perceptron per pixel, whose result is added to the input.
#[derive(Module, Debug)]
pub(crate) struct ConvNextBlock {
    conv_dw: Conv2d,
    norm: LayerNorm,
    fc1: Linear,
    /// In the second version.
    grn: Option<ResponseNorm>,
    fc2: Linear,
    /// In the first version: a factor per channel of the result, `[channels]`.
    layer_scale: Option<Param<Tensor<1>>>,
}

/// The size of a `ConvNeXt`.
#[derive(Debug, Clone, Copy)]
pub struct ConvNextSize {
    /// Number of channels of the first stage; each further stage has twice as many.
    pub width: usize,
    /// Number of blocks of each stage.
    pub depths: [usize; 4],
    /// Whether it is the second version: blocks normalise the responses of their perceptron, and do not
    /// scale their result.
    pub second: bool,
}

/// An architecture whose third stage has `LONG` blocks, and the others `SHORT`.
const fn entry<const WIDTH: usize, const SHORT: usize, const LONG: usize, const SECOND: bool>(
    spec: Spec,
) -> Entry<ConvNext> {
    Entry {
        spec,
        build: |_, classes, device| {
            let size = ConvNextSize {
                width: WIDTH,
                depths: [SHORT, SHORT, LONG, SHORT],
                second: SECOND,
            };
            ConvNext::new(size, classes, device)
        },
    }
}

impl ConvNext {
    /// A network with `classes` outputs.
    #[must_use]
    pub fn new(size: ConvNextSize, classes: usize, device: &Device) -> Self {
        let stages = (0..4).map(|index| {
            let width = size.width << index;
            let below = (index > 0).then_some(width / 2);
            ConvNextStage {
                downsample_norm: below.map(|below| layer_norm(below, device)),
                downsample: below.map(|below| patches(below, width, 2, device)),
                blocks: (0..size.depths[index])
                    .map(|_| ConvNextBlock::new(width, size.second, device))
                    .collect(),
            }
        });
        let last = size.width << 3;
        Self {
            stem: patches(3, size.width, 4, device),
            stem_norm: layer_norm(size.width, device),
            stages: stages.collect(),
            norm: layer_norm(last, device),
            head: Classifier::new(last, classes, device),
            size,
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl Staged for ConvNext {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.head
    }

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
        stages.push(Stage::new(["head"], |x: Tensor<2>| self.head.forward(x)));
        stages
    }

    fn settings(&self) -> Settings {
        let ConvNextSize { width, depths, .. } = self.size;
        vec![
            (
                "hidden_sizes",
                Setting::counts(&[0, 1, 2, 3].map(|stage| width << stage)),
            ),
            ("depths", Setting::counts(&depths)),
            ("hidden_act", Setting::Word("gelu")),
        ]
    }
}

impl ConvNextBlock {
    fn new(width: usize, second: bool, device: &Device) -> Self {
        let layer_scale = burn::nn::Initializer::Constant { value: 1e-6 };
        Self {
            conv_dw: Convolution::depthwise(width, 7, 1).init_with_bias(device),
            norm: layer_norm(width, device),
            fc1: LinearConfig::new(width, 4 * width).init(device),
            grn: second.then(|| ResponseNorm::new(4 * width, device)),
            fc2: LinearConfig::new(4 * width, width).init(device),
            layer_scale: (!second).then(|| layer_scale.init([width], device)),
        }
    }

    fn forward(&self, x: Tensor<4>, depth: StochasticDepth<'_>) -> Tensor<4> {
        let y = conv2d(&self.conv_dw, x.clone()).permute([0, 2, 3, 1]);
        let mut y = gelu(linear(&self.fc1, normalized(&self.norm, y)));
        if let Some(grn) = &self.grn {
            y = grn.forward(y);
        }
        y = linear(&self.fc2, y);
        if let Some(scale) = &self.layer_scale {
            y = y * scale.val().unsqueeze::<4>();
        }
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
