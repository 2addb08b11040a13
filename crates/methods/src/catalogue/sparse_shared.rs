//! The sparse shared method, `peft`: weight sharing → dynamic weight update → sparse training.
//!
//! Each adapted layer `l` gets `ΔW_l = s · (M_l ⊙ B_l) · A_l`:
//!
//! - **sharing**: `A_l = A[:, :n_l] / √n_l` is a slice of one frozen random projection
//!   `A ∈ R^{r × n_max}` that all layers share (VeRA, Kopiczko et al. 2024, arXiv:2310.11454,
//!   section 3.1; `n_l` is the number of inputs one output of the layer sees);
//! - **sparse**: `B_l`, 0 at the start, trains only where the mask `M_l` of fixed density is 1
//!   (LoRI, Zhang et al. 2025, arXiv:2504.07448);
//! - **dynamic**: the mask moves while training (SET, Mocanu et al. 2018, Nature Communications 9;
//!   see [`SparseDynamics`](crate::SparseDynamics)).
//!
//! The parts are published, their combination is this project's. Each can be switched off.

use burn::Tensor;
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::Device;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::{Adapter, Geometry, LowRank};
use crate::error::MethodError;
use crate::inspect::Layer;
use crate::random::{normal, rng};

/// Where dropped entries grow back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Regrow {
    /// At random among the inactive entries (SET).
    #[default]
    Random,
    /// Where the gradient is largest (`RigL`, Evci et al. 2020, arXiv:1911.11134).
    Gradient,
}

/// What stays constant while the mask moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// The number of active entries of each layer.
    #[default]
    Layer,
    /// The number of active entries of all layers together.
    Global,
}

/// Settings of the sparse shared method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeftConfig {
    /// Rank `r` of the projection.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
    /// Share of `B`'s entries that train, in `(0, 1]`; 1 trains all.
    pub density: f64,
    /// One projection for all layers, or one for each.
    pub share: bool,
    /// Whether the projection trains as well.
    pub train_shared: bool,
    /// Whether the mask moves.
    pub dynamic: bool,
    /// Share `ρ` of the active entries that the first move replaces, in `[0, 1]`.
    pub drop_fraction: f64,
    /// Steps between moves of the mask, `ΔT`.
    pub interval: usize,
    /// Share of the run after which the mask rests.
    pub end: f64,
    /// Where entries grow back.
    pub regrow: Regrow,
    /// What stays constant.
    pub budget: Budget,
}

impl Default for PeftConfig {
    fn default() -> Self {
        Self {
            rank: 32,
            alpha: 32.0,
            dropout: 0.0,
            density: 0.1,
            share: true,
            train_shared: false,
            dynamic: true,
            drop_fraction: 0.2,
            interval: 10,
            end: 0.75,
            regrow: Regrow::Random,
            budget: Budget::Layer,
        }
    }
}

impl PeftConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)?;
        check::dropout(self.dropout)?;
        if !(self.density > 0.0 && self.density <= 1.0) {
            return Err(check::setting(
                "density",
                self.density,
                "above 0 and at most 1",
            ));
        }
        check::share("drop fraction", self.drop_fraction)?;
        check::share("end of the moves", self.end)?;
        check::at_least_one("interval", self.interval)
    }

    /// Whether a moving mask exists at all.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.dynamic && self.density < 1.0
    }

    /// Active entries of a layer whose `B` has `size` entries: at least one.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn active(&self, size: usize) -> usize {
        ((self.density * size as f64).round() as usize).clamp(1, size)
    }

    /// Factor `s` of `s·B·A`.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// What a layer divides `A` by: `√inputs` where it is shared, which keeps the variance of `A·x`
    /// at that of `x` for `A ~ N(0, 1)`; a layer's own is made so.
    pub(crate) fn divisor(&self, layer: &Layer) -> f32 {
        if self.share {
            start::root(layer.shape.inputs)
        } else {
            1.0
        }
    }

    pub(crate) fn maker(
        &self,
        layers: &[&Layer],
        device: &Device,
        seed: u64,
    ) -> impl Maker + use<> {
        let mut rng = rng(seed, 2);
        let widest = layers.iter().map(|layer| layer.shape.inputs).max();
        let shared = self.share.then(|| {
            // A ~ N(0, 1), [rank, widest].
            let shape = [self.rank, widest.unwrap_or(1)];
            start::gaussian(1.0, shape, device, &mut rng).set_require_grad(self.train_shared)
        });
        PeftMaker {
            config: self.clone(),
            shared,
            rng,
        }
    }
}

struct PeftMaker {
    config: PeftConfig,
    shared: Option<Param<Tensor<2>>>,
    rng: ChaCha8Rng,
}

impl Maker for PeftMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let (config, device, shape) = (&self.config, base.device(), layer.shape);
        let geometry = Geometry {
            weight: shape,
            rank: config.rank,
            scale: config.scale(),
            shared: self.shared.is_some(),
            divisor: f64::from(config.divisor(layer)),
            dense_gradient: config.moves() && config.regrow == Regrow::Gradient,
        };
        let lora_a = self.shared.clone().unwrap_or_else(|| {
            let rows = geometry.groups_rank();
            let scale = 1.0 / start::root(shape.inputs);
            let values = (0..rows * shape.inputs)
                .map(|_| normal(&mut self.rng) * scale)
                .collect();
            start::param(values, [rows, shape.inputs], &device)
                .set_require_grad(config.train_shared)
        });
        let shape = [shape.outputs, config.rank];
        let lora_b_mask = (config.density < 1.0).then(|| {
            let size = shape[0] * shape[1];
            let mut mask = vec![0.0; size];
            for index in sample(&mut self.rng, size, config.active(size)) {
                mask[index] = 1.0;
            }
            start::param(mask, shape, &device).set_require_grad(false)
        });
        Made::from(Adapter::LowRank(LowRank {
            lora_a,
            lora_b: Some(start::full(0.0, shape, &device)),
            lora_b_mask,
            inner: None,
            outer: None,
            magnitude: None,
            base_square: None,
            dropout: DropoutConfig::new(config.dropout).init(),
            geometry,
        }))
    }
}
