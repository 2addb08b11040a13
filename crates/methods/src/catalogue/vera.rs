//! `VeRA` (Kopiczko et al. 2024, arXiv:2310.11454): two vectors a layer between and behind one
//! frozen random pair of factors that all layers share.

use burn::Tensor;
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::{Adapter, Geometry, LowRank};
use crate::error::MethodError;
use crate::inspect::Layer;
use crate::random::rng;

/// Settings of `VeRA`.
///
/// `ΔW = diag(b)·B·diag(d)·A` (equation 2). Parameters of a layer: `groups·rank + outputs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VeraConfig {
    /// Rank `r` of the shared factors.
    pub rank: usize,
    /// What `d` starts from; `b` starts from 0.
    pub d_initial: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
}

impl Default for VeraConfig {
    fn default() -> Self {
        Self {
            rank: 64,
            d_initial: 0.1,
            dropout: 0.0,
        }
    }
}

impl VeraConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("d's start", self.d_initial)?;
        check::dropout(self.dropout)
    }

    pub(crate) fn maker(
        &self,
        layers: &[&Layer],
        device: &Device,
        seed: u64,
    ) -> impl Maker + use<> {
        let mut rng = rng(seed, 3);
        let widest = |size: fn(&Layer) -> usize| layers.iter().map(|layer| size(layer)).max();
        let inputs = widest(|layer| layer.shape.inputs).unwrap_or(1);
        let outputs = widest(|layer| layer.shape.outputs).unwrap_or(1);
        // Kaiming uniform with a gain of √2, as PEFT: U(-√(6/n), √(6/n)) for n inputs.
        let mut factor = |shape: [usize; 2]| {
            let bound = 6.0_f32.sqrt() / start::root(shape[1]);
            start::uniform(bound, shape, device, &mut rng).set_require_grad(false)
        };
        VeraMaker {
            config: self.clone(),
            a: factor([self.rank, inputs]),
            b: factor([outputs, self.rank]),
        }
    }
}

struct VeraMaker {
    config: VeraConfig,
    a: Param<Tensor<2>>,
    b: Param<Tensor<2>>,
}

impl Maker for VeraMaker {
    #[allow(clippy::cast_possible_truncation)]
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let device = base.device();
        let geometry = Geometry {
            weight: layer.shape,
            rank: self.config.rank,
            scale: 1.0,
            shared: true,
            divisor: 1.0,
            dense_gradient: false,
        };
        let d = self.config.d_initial as f32;
        Made::from(Adapter::LowRank(LowRank {
            lora_a: self.a.clone(),
            lora_b: Some(self.b.clone()),
            lora_b_mask: None,
            inner: Some(start::full(d, [geometry.groups_rank()], &device)),
            outer: Some(start::full(0.0, [layer.shape.outputs], &device)),
            magnitude: None,
            base_square: None,
            dropout: DropoutConfig::new(self.config.dropout).init(),
            geometry,
        }))
    }
}
