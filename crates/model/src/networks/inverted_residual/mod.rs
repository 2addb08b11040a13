//! Networks of inverted residual blocks, from tables: the MobileNets and EfficientNets.
//!
//! A family is a file with its tables (the rows of [`design`]), and [`names`] derives the names of the
//! libraries from them.

mod block;
mod design;
pub(super) mod efficientnet;
pub(super) mod efficientnet_lite;
pub(super) mod efficientnet_v2;
pub(super) mod mobilenet_v1;
pub(super) mod mobilenet_v2;
pub(super) mod mobilenet_v3;
pub(super) mod mobilenet_v4;
mod names;

use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::{Activation, norm_act};
use finetune_methods::{conv2d, linear};

use self::block::InvertedResidual;
use self::design::{Design, Hidden};
use super::blocks::{ConvNorm, Convolution, Padding, global_average};
use super::classifier::Classifier;
use super::init::Init;
use super::settings::{Setting, Settings};
use super::spec::{Sizes, Spec};
use super::stages::{Stage, Staged, branching_blocks, logits, share};

/// An entry of a family's table: a design, functions of [`names`] for the libraries, and the fields of the
/// [`Spec`] that differ from [`SPEC`].
macro_rules! entry {
    (
        $design:expr,
        [$($library:literal = $names:path),+ $(,)?],
        { $($field:ident: $value:expr),+ $(,)? }
    ) => {
        $crate::networks::spec::Entry {
            spec: $crate::networks::spec::Spec {
                dialects: &[$($crate::networks::spec::dialect(
                    $library,
                    |path| $names(&$design, path),
                )),+],
                $($field: $value,)+
                ..$crate::networks::inverted_residual::SPEC
            },
            build: |_, classes, device| {
                $crate::networks::inverted_residual::InvertedResidualNet::new(
                    &$design, classes, device,
                )
            },
        }
    };
}
use entry;

/// What most of the networks have in common.
const SPEC: Spec = Spec {
    name: "",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bicubic,
    crop: 0.875,
    same_network_as: None,
    prefix_tokens: 0,
    head: "classifier",
    // All convolutions but the depthwise ones, which have 9 or 25 weights per channel, and the stem.
    targets: r"(expand|project|last)\.conv\.",
    blocks: None,
    drop_path: Some(0.2),
    head_dropout: 0.2,
    init: Init::KaimingNormal,
    dialects: &[],
};

/// [`Spec::targets`] of networks with a hidden layer.
const TARGETS_WITH_HIDDEN: &str = r"(expand|project|hidden)\.(conv|linear)\.";

/// A stem, inverted residual blocks, and a classifier; before it a last 1×1 convolution, or a hidden layer
/// after the mean over the positions.
#[derive(Module, Debug)]
pub struct InvertedResidualNet {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: Option<ConvNorm>,
    hidden: Option<HiddenLayer>,
    classifier: Classifier,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    design: Design,
}

/// The layer between the mean over the positions and the head: a Linear layer, which may be stored as a
/// 1×1 convolution, and in some networks a batch normalisation.
#[derive(Module, Debug)]
pub(crate) struct HiddenLayer {
    linear: Option<Linear>,
    conv: Option<Conv2d>,
    norm: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
}

impl InvertedResidualNet {
    fn new(design: &Design, classes: usize, device: &Device) -> Self {
        let layer = |convolution: Convolution| {
            let convolution = convolution.padded(design.padding);
            ConvNorm::with_epsilon(convolution, design.epsilon, device)
        };
        let plans = design.plans();
        let outputs = plans.last().map_or(design.stem, |plan| plan.outputs);
        let blocks = plans.iter();
        let last = (design.last > 0).then(|| layer(Convolution::new(outputs, design.last, 1, 1)));
        let features = if design.last > 0 {
            design.last
        } else {
            outputs
        };
        let hidden = design
            .hidden
            .map(|hidden| HiddenLayer::new(hidden, features, design, device));
        let features = design.hidden.map_or(features, Hidden::outputs);
        Self {
            stem: layer(Convolution::new(3, design.stem, 3, 2)),
            blocks: blocks
                .map(|plan| InvertedResidual::new(plan, design, device))
                .collect(),
            last,
            hidden,
            classifier: Classifier::new(features, classes, device),
            activation: design.activation,
            design: *design,
        }
    }

    /// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        logits(self, images)
    }
}

impl HiddenLayer {
    fn new(hidden: Hidden, inputs: usize, design: &Design, device: &Device) -> Self {
        let outputs = hidden.outputs();
        let conv = Convolution::new(inputs, outputs, 1, 1);
        Self {
            linear: matches!(hidden, Hidden::Linear(_))
                .then(|| LinearConfig::new(inputs, outputs).init(device)),
            conv: match hidden {
                Hidden::Linear(_) => None,
                Hidden::Conv(_) => Some(conv.init_with_bias(device)),
                Hidden::ConvNorm(_) => Some(conv.init(device)),
            },
            norm: matches!(hidden, Hidden::ConvNorm(_)).then(|| {
                BatchNormConfig::new(outputs)
                    .with_epsilon(design.epsilon)
                    .init(device)
            }),
            activation: design.activation,
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        if let Some(layer) = &self.linear {
            return self.activation.apply(linear(layer, x));
        }
        let Some(layer) = &self.conv else { return x };
        let [batch, inputs] = x.dims();
        let y = conv2d(layer, x.reshape([batch, inputs, 1, 1]));
        let y = match &self.norm {
            Some(norm) => norm_act(norm, y, None, self.activation),
            None => self.activation.apply(y),
        };
        y.flatten(1, 3)
    }
}

impl Staged for InvertedResidualNet {
    fn classifier(&mut self) -> &mut Classifier {
        &mut self.classifier
    }

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
        if let Some(last) = &self.last {
            stages.push(Stage::new(["last"], |x| last.forward(x, self.activation)));
        }
        stages.push(Stage::new([], global_average));
        if let Some(hidden) = &self.hidden {
            stages.push(Stage::new(["hidden"], |x| hidden.forward(x)));
        }
        stages.push(Stage::new(["classifier"], |x: Tensor<2>| {
            self.classifier.forward(x)
        }));
        stages
    }

    fn beside_head(&self) -> &'static [&'static str] {
        &["hidden"]
    }

    fn settings(&self) -> Settings {
        let Design {
            epsilon,
            padding,
            activation,
            ..
        } = self.design;
        let activation = match activation {
            Activation::Identity => "linear",
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::Silu => "swish",
            Activation::HardSwish => "hardswish",
        };
        vec![
            ("hidden_act", Setting::Word(activation)),
            ("tf_padding", Setting::Flag(padding == Padding::Same)),
            // MobileNets call it so, although they have batch normalisation.
            ("layer_norm_eps", Setting::Number(epsilon)),
            ("batch_norm_eps", Setting::Number(epsilon)),
        ]
    }
}
