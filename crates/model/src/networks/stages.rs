//! Networks as sequences of stages: a forward pass runs all of them, and some can be run alone.

use std::ops::Range;

use burn::Tensor;
use burn::tensor::{Device, TensorData};

use super::classifier::Classifier;
use super::settings::Settings;
use super::stochastic_depth::StochasticDepth;

/// What one stage of a network passes to the next.
#[derive(Debug, Clone)]
pub enum Features {
    /// `[batch, features]`.
    Vectors(Tensor<2>),
    /// `[batch, tokens, width]`.
    Tokens(Tensor<3>),
    /// `[batch, channels, height, width]`, or `[batch, height, width, channels]` between the stages of a
    /// network that says so.
    Maps(Tensor<4>),
}

impl Features {
    /// The features with this data: vectors if it has two axes, tokens if it has three, maps if it has
    /// four.
    ///
    /// # Panics
    ///
    /// It has another number of axes.
    #[must_use]
    pub fn from_data(data: TensorData, device: &Device) -> Self {
        match data.shape().len() {
            2 => Self::Vectors(Tensor::from_data(data, device)),
            3 => Self::Tokens(Tensor::from_data(data, device)),
            4 => Self::Maps(Tensor::from_data(data, device)),
            axes => panic!("features have 2 to 4 axes, not {axes}"),
        }
    }

    /// The data of the tensor.
    #[must_use]
    pub fn into_data(self) -> TensorData {
        match self {
            Self::Vectors(tensor) => tensor.into_data(),
            Self::Tokens(tensor) => tensor.into_data(),
            Self::Maps(tensor) => tensor.into_data(),
        }
    }

    /// The lengths of the axes; the first is the batch.
    #[must_use]
    pub fn dims(&self) -> Vec<usize> {
        match self {
            Self::Vectors(tensor) => tensor.dims().to_vec(),
            Self::Tokens(tensor) => tensor.dims().to_vec(),
            Self::Maps(tensor) => tensor.dims().to_vec(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Vectors(_) => "Vectors",
            Self::Tokens(_) => "Tokens",
            Self::Maps(_) => "Maps",
        }
    }
}

/// A part of a network: what it computes, and the paths of its parameters.
pub struct Stage<'a> {
    paths: Vec<String>,
    depth: Option<f64>,
    run: Box<dyn Fn(Features, StochasticDepth<'_>) -> Features + 'a>,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("paths", &self.paths)
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

impl<'a> Stage<'a> {
    /// A stage that has all parameters whose paths begin with one of `paths`.
    ///
    /// The output must depend on the parameters and the input alone, and as long as the parameters do
    /// not change, the output for an image must not depend on the other images of the batch.
    pub fn new<'p, I: Feature, O: Feature>(
        paths: impl IntoIterator<Item = &'p str>,
        run: impl Fn(I) -> O + 'a,
    ) -> Self {
        Self {
            paths: paths.into_iter().map(str::to_owned).collect(),
            depth: None,
            run: Box::new(move |features, _| run(I::of(features)).into()),
        }
    }

    /// A stage with residual branches that can be left out, at a [`depth`](Self::depth).
    pub fn branching<'p, I: Feature, O: Feature>(
        paths: impl IntoIterator<Item = &'p str>,
        depth: f64,
        run: impl Fn(I, StochasticDepth<'_>) -> O + 'a,
    ) -> Self {
        Self {
            paths: paths.into_iter().map(str::to_owned).collect(),
            depth: Some(depth),
            run: Box::new(move |features, depth| run(I::of(features), depth).into()),
        }
    }

    /// How deep the stage is among those with residual branches that can be left out: 0 for the first,
    /// up to 1 for the last. The probability that they are rises in proportion. `None` if it has none.
    #[must_use]
    pub fn depth(&self) -> Option<f64> {
        self.depth
    }

    /// Whether the parameter with this path belongs to the stage.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        let is_under = |own: &String| {
            let rest = path.strip_prefix(own.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.paths.iter().any(is_under)
    }

    /// The beginnings of the paths of its parameters; empty if it has none.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Runs the stage.
    ///
    /// # Panics
    ///
    /// `features` are not of the kind that the stage takes.
    #[must_use]
    pub fn forward(&self, features: Features) -> Features {
        self.forward_with(features, StochasticDepth::OFF)
    }

    /// Runs the stage with some of its residual branches left out.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    #[must_use]
    pub fn forward_with(&self, features: Features, depth: StochasticDepth<'_>) -> Features {
        (self.run)(features, depth)
    }
}

/// A network that is a sequence of stages.
pub trait Staged {
    /// All stages, in order. The first takes images `[batch, 3, height, width]`, the last returns logits
    /// `[batch, classes]`.
    fn stages(&self) -> Vec<Stage<'_>>;

    /// The head.
    fn classifier(&mut self) -> &mut Classifier;

    /// Paths of layers between the blocks and the head that timm counts to the head, where learning
    /// rates fall from layer to layer. None by default: it counts such layers to the last block.
    fn beside_head(&self) -> &'static [&'static str] {
        &[]
    }

    /// Its settings by the names that transformers has for them, as far as they are compared with a
    /// configuration. None by default.
    fn settings(&self) -> Settings {
        Settings::new()
    }

    /// Runs some of the stages.
    ///
    /// # Panics
    ///
    /// There are no such stages, or `features` are not of the kind that the first of them takes.
    fn forward_range(&self, range: Range<usize>, features: Features) -> Features {
        let stages = &self.stages()[range];
        stages.iter().fold(features, |x, stage| stage.forward(x))
    }
}

/// Logits `[batch, classes]` of images `[batch, 3, height, width]`.
pub(crate) fn logits(network: &impl Staged, images: Tensor<4>) -> Tensor<2> {
    let stages = network.stages();
    let images = Features::Maps(images);
    let features = stages.iter().fold(images, |x, stage| stage.forward(x));
    Tensor::of(features)
}

/// One stage for each block of the field `name`.
pub(crate) fn blocks<'a, B, F: Feature + 'a>(
    name: &str,
    blocks: &'a [B],
    forward: fn(&B, F) -> F,
) -> impl Iterator<Item = Stage<'a>> {
    let numbered = blocks.iter().enumerate();
    numbered.map(move |(index, block)| {
        let path = format!("{name}.{index}");
        Stage::new([path.as_str()], move |x: F| forward(block, x))
    })
}

/// One stage for each block of the field `name`, which has residual branches that can be left out.
/// `depth` is the [depth](Stage::depth) of the block with this number.
pub(crate) fn branching_blocks<'a, B, F: Feature + 'a>(
    name: &str,
    blocks: &'a [B],
    depth: impl Fn(usize) -> f64,
    forward: fn(&B, F, StochasticDepth<'_>) -> F,
) -> impl Iterator<Item = Stage<'a>> {
    let numbered = blocks.iter().enumerate();
    numbered.map(move |(index, block)| {
        let path = format!("{name}.{index}");
        let run = move |x: F, depth: StochasticDepth<'_>| forward(block, x, depth);
        Stage::branching([path.as_str()], depth(index), run)
    })
}

/// `index / of`.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn share(index: usize, of: usize) -> f64 {
    index as f64 / of as f64
}

/// A tensor that a stage can take and return.
pub trait Feature: Into<Features> {
    /// The tensor of these features.
    ///
    /// # Panics
    ///
    /// They are of another kind.
    fn of(features: Features) -> Self;
}

macro_rules! feature {
    ($rank:literal, $kind:ident) => {
        impl From<Tensor<$rank>> for Features {
            fn from(tensor: Tensor<$rank>) -> Self {
                Self::$kind(tensor)
            }
        }

        impl Feature for Tensor<$rank> {
            fn of(features: Features) -> Self {
                match features {
                    Features::$kind(tensor) => tensor,
                    other => panic!("a stage takes {}, not {}", stringify!($kind), other.kind()),
                }
            }
        }
    };
}

feature!(2, Vectors);
feature!(3, Tokens);
feature!(4, Maps);

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use finetune_methods::parameters_lazily;

    use super::*;
    use crate::networks::ARCHITECTURES;

    #[test]
    fn each_parameter_belongs_to_one_stage_and_the_head_to_the_last() {
        for architecture in ARCHITECTURES {
            let network = architecture.uninitialized(3, &Device::flex());
            let stages = network.stages();
            for param in parameters_lazily(&network) {
                let holders: Vec<usize> = (0..stages.len())
                    .filter(|index| stages[*index].holds(&param.path))
                    .collect();
                assert_eq!(holders.len(), 1, "{}: {}", architecture.name, param.path);
                let in_head = param.path.starts_with(&format!("{}.", architecture.head));
                assert_eq!(holders[0] == stages.len() - 1, in_head, "{}", param.path);
            }
        }
    }

    #[test]
    fn running_the_stages_in_two_parts_agrees_with_the_forward_pass() {
        let architecture = crate::Architecture::find("resnet8").unwrap();
        let network = architecture.build(3, 0, &Device::flex());
        let images = Tensor::<4>::ones([2, 3, 32, 32], &Device::flex());
        let whole = network.forward(images.clone()).into_data();
        for split in 0..=network.stages().len() {
            let first = network.forward_range(0..split, images.clone().into());
            let count = network.stages().len();
            let logits = Tensor::<2>::of(network.forward_range(split..count, first));
            assert_eq!(logits.into_data(), whole);
        }
    }
}
