//! `AdaLoRA` (Zhang et al. 2023, arXiv:2303.10512): a rank budget that moves to where it matters.

use burn::Tensor;
use burn::nn::DropoutConfig;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::{Adapter, Geometry, LowRank};
use crate::error::MethodError;
use crate::inspect::Layer;
use crate::random::rng;

/// Settings of `AdaLoRA`.
///
/// `ΔW = s·P·Λ·Q` (equation 3), `Λ` diagonal. Parameters of a layer before pruning: `rank·(inputs +
/// outputs + 1)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaloraConfig {
    /// Rank of each layer at the start.
    pub rank: usize,
    /// Mean rank at the end.
    pub target_rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
    /// Share of the run before the budget falls.
    pub warmup: f64,
    /// Share of the run at whose end the budget has fallen.
    pub settle: f64,
    /// Steps between prunings.
    pub interval: usize,
    /// Smoothing of the sensitivity (equation 9).
    pub beta1: f64,
    /// Smoothing of its uncertainty (equation 10).
    pub beta2: f64,
    /// Weight `γ` of the orthogonality term (equation 4).
    pub orthogonality: f64,
}

impl Default for AdaloraConfig {
    fn default() -> Self {
        Self {
            rank: 12,
            target_rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            warmup: 0.1,
            settle: 0.7,
            interval: 5,
            beta1: 0.85,
            beta2: 0.85,
            orthogonality: 0.1,
        }
    }
}

impl AdaloraConfig {
    pub(crate) fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::rank_fits(self.rank, layers)?;
        check::at_least_one("target rank", self.target_rank)?;
        if self.target_rank > self.rank {
            let wanted = "at most the rank at the start";
            return Err(check::setting("target rank", self.target_rank, wanted));
        }
        check::finite("alpha", self.alpha)?;
        check::dropout(self.dropout)?;
        check::share("warm-up", self.warmup)?;
        check::share("end of the pruning", self.settle)?;
        if self.settle <= self.warmup {
            let wanted = "after the warm-up";
            return Err(check::setting("end of the pruning", self.settle, wanted));
        }
        check::at_least_one("interval", self.interval)?;
        check::share("beta1", self.beta1)?;
        check::share("beta2", self.beta2)?;
        check::finite("orthogonality", self.orthogonality)
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        AdaloraMaker {
            config: self.clone(),
            rng: rng(seed, 4),
        }
    }
}

struct AdaloraMaker {
    config: AdaloraConfig,
    rng: ChaCha8Rng,
}

impl Maker for AdaloraMaker {
    #[allow(clippy::cast_precision_loss)]
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let (device, shape, rng) = (base.device(), layer.shape, &mut self.rng);
        let rank = self
            .config
            .rank
            .min(shape.inputs)
            .min(shape.outputs / shape.groups);
        let geometry = Geometry {
            weight: shape,
            rank,
            // PEFT keeps a rank of 0 from dividing.
            scale: self.config.alpha / (self.config.rank as f64 + 1e-5),
            shared: false,
            divisor: 1.0,
            dense_gradient: false,
        };
        let rows = geometry.groups_rank();
        Made::from(Adapter::LowRank(LowRank {
            lora_a: start::gaussian(0.02, [rows, shape.inputs], &device, rng),
            lora_b: Some(start::gaussian(0.02, [shape.outputs, rank], &device, rng)),
            lora_b_mask: None,
            inner: Some(start::full(0.0, [rows], &device)),
            outer: None,
            magnitude: None,
            base_square: None,
            dropout: DropoutConfig::new(self.config.dropout).init(),
            geometry,
        }))
    }
}
