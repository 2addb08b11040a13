//! Inception-v3: Szegedy et al. 2015 (arXiv:1512.00567, table 1), as in torchvision and timm, without its
//! auxiliary classifier.

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2dConfig;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNormConfig, PaddingConfig2d};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::Activation;
use finetune_kernels::pool::max_pool2d;

use super::blocks::{ConvNorm, global_average};
use super::classifier::Classifier;
use super::init::Init;
use super::spec::{Entry, Sizes, Spec, dialect};
use super::stages::{Stage, Staged, blocks, logits};

pub(super) const ARCHITECTURES: &[Entry<Inception>] = &[Entry {
    spec: Spec {
        name: "inception_v3",
        aliases: &[],
        image_size: 299,
        sizes: Sizes::From(75),
        normalization: Normalization::HALF,
        filter: Filter::Bicubic,
        crop: 0.875,
        same_network_as: None,
        prefix_tokens: 0,
        head: "fc",
        targets: "all",
        blocks: None,
        drop_path: None,
        head_dropout: 0.5,
        init: Init::KaimingNormal,
        dialects: &[dialect("torchvision, timm", torchvision)],
    },
    build: |_, classes, device| Inception::v3(classes, device),
}];

/// Added to the variance in normalisations.
const EPSILON: f64 = 1e-3;

/// What a convolution reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The input of its block.
    Input,
    /// Means over 3×3 pixels of that input.
    Means,
    /// The result of the convolution before it.
    Before,
    /// The result of the convolution before that.
    SecondBefore,
}

/// A convolution with a normalisation and a ReLU.
#[derive(Debug, Clone, Copy)]
struct Layer {
    name: &'static str,
    source: Source,
    outputs: usize,
    kernel: [usize; 2],
    /// With a stride of 2, the map is not padded.
    stride: usize,
    /// Whether its result is part of the block's.
    joined: bool,
}

impl Layer {
    const fn new(name: &'static str, source: Source, outputs: usize, kernel: [usize; 2]) -> Self {
        Self {
            name,
            source,
            outputs,
            kernel,
            stride: 1,
            joined: false,
        }
    }

    /// The first one of a branch: a 1×1 convolution.
    const fn first(name: &'static str, outputs: usize) -> Self {
        Self::new(name, Source::Input, outputs, [1, 1])
    }

    const fn then(name: &'static str, outputs: usize, kernel: [usize; 2]) -> Self {
        Self::new(name, Source::Before, outputs, kernel)
    }

    const fn joined(self) -> Self {
        Self {
            joined: true,
            ..self
        }
    }

    /// With stride 2, as the last one of a branch.
    const fn halving(self) -> Self {
        Self {
            stride: 2,
            joined: true,
            ..self
        }
    }

    fn build(self, inputs: usize, padded: bool, device: &Device) -> ConvNorm {
        let [rows, columns] = self.kernel.map(|side| if padded { side / 2 } else { 0 });
        let conv = Conv2dConfig::new([inputs, self.outputs], self.kernel)
            .with_stride([self.stride; 2])
            .with_padding(PaddingConfig2d::Explicit(rows, columns, rows, columns))
            .with_bias(false)
            .init(device);
        let norm = BatchNormConfig::new(self.outputs)
            .with_epsilon(EPSILON)
            .init(device);
        ConvNorm::of(conv, norm)
    }
}

/// The branch of a block that has means of the input.
const fn pooled(outputs: usize) -> Layer {
    Layer::new("branch_pool", Source::Means, outputs, [1, 1]).joined()
}

/// Figure 5 of the paper, with 5×5 convolutions.
const fn figure_5(pool: usize) -> [Layer; 7] {
    [
        Layer::first("branch1x1", 64).joined(),
        Layer::first("branch5x5_1", 48),
        Layer::then("branch5x5_2", 64, [5, 5]).joined(),
        Layer::first("branch3x3dbl_1", 64),
        Layer::then("branch3x3dbl_2", 96, [3, 3]),
        Layer::then("branch3x3dbl_3", 96, [3, 3]).joined(),
        pooled(pool),
    ]
}

/// Figure 6: 7×7 convolutions as two with kernels of one row and one column.
const fn figure_6(width: usize) -> [Layer; 10] {
    [
        Layer::first("branch1x1", 192).joined(),
        Layer::first("branch7x7_1", width),
        Layer::then("branch7x7_2", width, [1, 7]),
        Layer::then("branch7x7_3", 192, [7, 1]).joined(),
        Layer::first("branch7x7dbl_1", width),
        Layer::then("branch7x7dbl_2", width, [7, 1]),
        Layer::then("branch7x7dbl_3", width, [1, 7]),
        Layer::then("branch7x7dbl_4", width, [7, 1]),
        Layer::then("branch7x7dbl_5", 192, [1, 7]).joined(),
        pooled(192),
    ]
}

/// Figure 7: 3×3 convolutions as two beside each other.
const FIGURE_7: [Layer; 9] = [
    Layer::first("branch1x1", 320).joined(),
    Layer::first("branch3x3_1", 384),
    Layer::then("branch3x3_2a", 384, [1, 3]).joined(),
    Layer::new("branch3x3_2b", Source::SecondBefore, 384, [3, 1]).joined(),
    Layer::first("branch3x3dbl_1", 448),
    Layer::then("branch3x3dbl_2", 384, [3, 3]),
    Layer::then("branch3x3dbl_3a", 384, [1, 3]).joined(),
    Layer::new("branch3x3dbl_3b", Source::SecondBefore, 384, [3, 1]).joined(),
    pooled(192),
];

const FIRST_HALVING: [Layer; 4] = [
    Layer::new("branch3x3", Source::Input, 384, [3, 3]).halving(),
    Layer::first("branch3x3dbl_1", 64),
    Layer::then("branch3x3dbl_2", 96, [3, 3]),
    Layer::then("branch3x3dbl_3", 96, [3, 3]).halving(),
];

const SECOND_HALVING: [Layer; 6] = [
    Layer::first("branch3x3_1", 192),
    Layer::then("branch3x3_2", 320, [3, 3]).halving(),
    Layer::first("branch7x7x3_1", 192),
    Layer::then("branch7x7x3_2", 192, [1, 7]),
    Layer::then("branch7x7x3_3", 192, [7, 1]),
    Layer::then("branch7x7x3_4", 192, [3, 3]).halving(),
];

/// The convolutions before the blocks, and whether they are padded. A pooling follows the last two.
const STEM: [(Layer, bool); 5] = {
    let first = Layer::new("Conv2d_1a_3x3", Source::Input, 32, [3, 3]);
    [
        (first.halving(), false),
        (Layer::then("Conv2d_2a_3x3", 32, [3, 3]), false),
        (Layer::then("Conv2d_2b_3x3", 64, [3, 3]), true),
        (Layer::then("Conv2d_3b_1x1", 80, [1, 1]), true),
        (Layer::then("Conv2d_4a_3x3", 192, [3, 3]), false),
    ]
};

/// The convolutions of the stem that a pooling follows.
const POOLED: [usize; 2] = [2, 4];

const BLOCKS: [(&str, &[Layer]); 11] = [
    ("Mixed_5b", &figure_5(32)),
    ("Mixed_5c", &figure_5(64)),
    ("Mixed_5d", &figure_5(64)),
    ("Mixed_6a", &FIRST_HALVING),
    ("Mixed_6b", &figure_6(128)),
    ("Mixed_6c", &figure_6(160)),
    ("Mixed_6d", &figure_6(160)),
    ("Mixed_6e", &figure_6(192)),
    ("Mixed_7a", &SECOND_HALVING),
    ("Mixed_7b", &FIGURE_7),
    ("Mixed_7c", &FIGURE_7),
];

/// Five convolutions, blocks of several branches, and a classifier.
#[derive(Module, Debug)]
pub struct Inception {
    stem: Vec<ConvNorm>,
    pool: MaxPool2d,
    blocks: Vec<InceptionBlock>,
    fc: Classifier,
}

/// Branches of convolutions, whose results are joined; a block that halves the size adds its input after a
/// pooling.
#[derive(Module, Debug)]
pub(crate) struct InceptionBlock {
    layers: Vec<ConvNorm>,
    means: AvgPool2d,
    pool: Option<MaxPool2d>,
    #[module(skip)]
    plan: &'static [Layer],
}

impl Inception {
    /// Inception-v3 with `classes` outputs.
    #[must_use]
    pub fn v3(classes: usize, device: &Device) -> Self {
        let mut inputs = 3;
        let mut stem = Vec::with_capacity(STEM.len());
        for (layer, padded) in STEM {
            stem.push(layer.build(inputs, padded, device));
            inputs = layer.outputs;
        }
        let mut blocks = Vec::with_capacity(BLOCKS.len());
        for (_, plan) in BLOCKS {
            blocks.push(InceptionBlock::new(inputs, plan, device));
            let joined: usize = plan
                .iter()
                .filter(|layer| layer.joined)
                .map(|layer| layer.outputs)
                .sum();
            inputs = if halves(plan) {
                joined + inputs
            } else {
                joined
            };
        }
        Self {
            stem,
            pool: halving_pool(),
            blocks,
            fc: Classifier::new(inputs, classes, device),
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }

    fn embed(&self, images: Tensor<4>) -> Tensor<4> {
        let mut x = images;
        for (index, layer) in self.stem.iter().enumerate() {
            x = layer.forward(x, Activation::Relu);
            if POOLED.contains(&index) {
                x = max_pool2d(&self.pool, x);
            }
        }
        x
    }
}

impl Staged for Inception {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.fc
    }

    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![Stage::new(["stem"], |images| self.embed(images))];
        stages.extend(blocks("blocks", &self.blocks, InceptionBlock::forward));
        stages.push(Stage::new([], global_average));
        stages.push(Stage::new(["fc"], |x: Tensor<2>| self.fc.forward(x)));
        stages
    }
}

impl InceptionBlock {
    fn new(inputs: usize, plan: &'static [Layer], device: &Device) -> Self {
        let layer = |(index, layer): (usize, &Layer)| {
            let inputs = match layer.source {
                Source::Input | Source::Means => inputs,
                Source::Before => plan[index - 1].outputs,
                Source::SecondBefore => plan[index - 2].outputs,
            };
            layer.build(inputs, layer.stride == 1, device)
        };
        Self {
            layers: plan.iter().enumerate().map(layer).collect(),
            means: AvgPool2dConfig::new([3, 3])
                .with_strides([1, 1])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            pool: halves(plan).then(halving_pool),
            plan,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut results: Vec<Tensor<4>> = Vec::with_capacity(self.layers.len());
        for (index, (layer, plan)) in self.layers.iter().zip(self.plan).enumerate() {
            let input = match plan.source {
                Source::Input => x.clone(),
                Source::Means => self.means.forward(x.clone()),
                Source::Before => results[index - 1].clone(),
                Source::SecondBefore => results[index - 2].clone(),
            };
            results.push(layer.forward(input, Activation::Relu));
        }
        let joined = results.into_iter().zip(self.plan);
        let mut joined: Vec<_> = joined
            .filter_map(|(result, plan)| plan.joined.then_some(result))
            .collect();
        if let Some(pool) = &self.pool {
            joined.push(max_pool2d(pool, x));
        }
        Tensor::cat(joined, 1)
    }
}

fn halves(plan: &[Layer]) -> bool {
    plan.iter().any(|layer| layer.stride == 2)
}

fn halving_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).init()
}

/// The names of torchvision and timm.
fn torchvision(path: &str) -> String {
    named(path).unwrap_or_else(|| path.to_owned())
}

fn named(path: &str) -> Option<String> {
    let mut parts = path.splitn(5, '.');
    let (first, index) = (parts.next()?, parts.next()?.parse::<usize>().ok());
    let (layer, rest) = match (first, index) {
        ("stem", Some(index)) => {
            let rest = path.splitn(3, '.').nth(2)?;
            (STEM.get(index)?.0.name.to_owned(), rest)
        }
        ("blocks", Some(index)) => {
            let (name, plan) = BLOCKS.get(index)?;
            let layer = plan.get(parts.nth(1)?.parse::<usize>().ok()?)?;
            (format!("{name}.{}", layer.name), parts.next()?)
        }
        _ => return None,
    };
    let rest = rest.replacen("norm.", "bn.", 1);
    Some(format!("{layer}.{rest}"))
}
