//! Methods that stand beside a transformer's blocks.

use burn::Tensor;
use burn::nn::{DropoutConfig, LinearConfig};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::{Adapter, Bottleneck, Prompts};
use crate::error::MethodError;
use crate::inspect::Layer;
use crate::random::rng;

/// Settings of `AdaptFormer` (Chen et al. 2022, arXiv:2205.13535).
///
/// Its targets are the layers that the model hands to [`parallel`](crate::parallel).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaptformerConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Factor `s` of what it adds.
    pub scale: f64,
    /// Dropout inside it while training, in `[0, 1)`.
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

impl AdaptformerConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::at_least_one("width of the bottleneck", self.width)?;
        check::finite("scale", self.scale)?;
        check::dropout(self.dropout)
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        AdaptformerMaker {
            config: self.clone(),
            rng: rng(seed, 8),
        }
    }
}

struct AdaptformerMaker {
    config: AdaptformerConfig,
    rng: ChaCha8Rng,
}

impl Maker for AdaptformerMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let (device, width) = (base.device(), layer.shape.inputs);
        let mut down = LinearConfig::new(width, self.config.width).init(&device);
        let mut up = LinearConfig::new(self.config.width, width).init(&device);
        let bound = 1.0 / start::root(width);
        let shape = [width, self.config.width];
        down.weight = start::uniform(bound, shape, &device, &mut self.rng);
        down.bias = Some(start::full(0.0, [self.config.width], &device));
        up.weight = start::full(0.0, [self.config.width, width], &device);
        up.bias = Some(start::full(0.0, [width], &device));
        Made::from(Adapter::Bottleneck(Bottleneck {
            down,
            up,
            dropout: DropoutConfig::new(self.config.dropout).init(),
            scale: self.config.scale,
        }))
    }
}

/// Settings of `VPT`-deep (Jia et al. 2022, arXiv:2203.12119).
///
/// Its targets are the layers that the model hands to [`prompted`](crate::prompted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VptConfig {
    /// Prompts of each block.
    pub count: usize,
}

impl Default for VptConfig {
    fn default() -> Self {
        Self { count: 10 }
    }
}

impl VptConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::at_least_one("number of prompts", self.count)
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        VptMaker {
            count: self.count,
            rng: rng(seed, 9),
        }
    }
}

struct VptMaker {
    count: usize,
    rng: ChaCha8Rng,
}

impl Maker for VptMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let width = layer.shape.inputs;
        // The authors' code: Xavier uniform of a patch of 3·16·16 values and the width.
        let bound = 6.0_f32.sqrt() / start::root(3 * 16 * 16 + width);
        let shape = [self.count, width];
        Made::from(Adapter::Prompts(Prompts {
            prompts: start::uniform(bound, shape, &base.device(), &mut self.rng),
        }))
    }
}
