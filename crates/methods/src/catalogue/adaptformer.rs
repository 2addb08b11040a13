//! `AdaptFormer` (Chen et al. 2022, arXiv:2205.13535): bottlenecks beside the feed-forward blocks of a
//! transformer.

use burn::Tensor;
use burn::nn::{DropoutConfig, LinearConfig};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Bottleneck, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::random::rng;

/// Settings of `AdaptFormer`.
///
/// It takes effect on the layers that the model passes to [`parallel`](crate::parallel). Parameters per
/// layer with `in` inputs: `2·in·width + in + width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaptformerConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Factor `s` of the bottleneck's output.
    pub scale: f64,
    /// Dropout inside the bottleneck while training, in `[0, 1)`.
    pub dropout: f64,
}

impl Default for AdaptformerConfig {
    fn default() -> Self {
        Self {
            width: 64,
            scale: 0.1,
            dropout: 0.0,
        }
    }
}

impl Spec for AdaptformerConfig {
    type Adapter = Bottleneck;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::FeedForward;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = false;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.001,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, Bottleneck> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::count("width of the bottleneck", self.width)?;
        check::finite("scale", self.scale)?;
        check::dropout(self.dropout)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(AdaptformerMaker {
            config: self.clone(),
            rng: rng(context.seed, 8),
        })))
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        let inputs = layer.shape.inputs;
        2 * inputs * self.width + inputs + self.width
    }
}

struct AdaptformerMaker {
    config: AdaptformerConfig,
    rng: ChaCha8Rng,
}

impl Maker<Bottleneck> for AdaptformerMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Bottleneck> {
        let (device, width) = (base.device(), layer.shape.inputs);
        let mut down = LinearConfig::new(width, self.config.width).init(&device);
        let mut up = LinearConfig::new(self.config.width, width).init(&device);
        let bound = 1.0 / start::root(width);
        let shape = [width, self.config.width];
        down.weight = start::uniform(bound, shape, &device, &mut self.rng);
        down.bias = Some(start::full(0.0, [self.config.width], &device));
        up.weight = start::full(0.0, [self.config.width, width], &device);
        up.bias = Some(start::full(0.0, [width], &device));
        Made::from(Bottleneck {
            down,
            up,
            dropout: DropoutConfig::new(self.config.dropout).init(),
            scale: self.config.scale,
        })
    }
}
