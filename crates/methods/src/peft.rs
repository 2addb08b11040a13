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

use crate::adapter::{Adapter, Geometry};
use crate::error::MethodError;
use crate::layers::Layer;
use crate::lora::{check_dropout, check_finite, check_rank, kernel, param, setting, zeros};
use crate::random::normal;

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
        check_rank(self.rank)?;
        check_finite("alpha", self.alpha)?;
        check_dropout(self.dropout)?;
        if !(self.density > 0.0 && self.density <= 1.0) {
            return Err(setting("density", self.density, "above 0 and at most 1"));
        }
        if !(0.0..=1.0).contains(&self.drop_fraction) {
            return Err(setting("drop fraction", self.drop_fraction, "from 0 to 1"));
        }
        if !(0.0..=1.0).contains(&self.end) {
            return Err(setting("end of the moves", self.end, "from 0 to 1"));
        }
        if self.interval == 0 {
            return Err(setting("interval", self.interval, "at least 1 step"));
        }
        Ok(())
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

    /// The shared projection `A ~ N(0, 1)`, `[rank, widest]`.
    pub(crate) fn projection(
        &self,
        widest: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Param<Tensor<2>> {
        let values = (0..self.rank * widest).map(|_| normal(rng)).collect();
        param(values, [self.rank, widest], device).set_require_grad(self.train_shared)
    }

    /// An adapter for `layer` on the projection `shared`, or on one of its own.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn adapter(
        &self,
        layer: &Layer,
        shared: Option<&Param<Tensor<2>>>,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Adapter {
        let geometry = Geometry {
            rank: self.rank,
            scale: self.alpha / self.rank as f64,
            inputs: layer.inputs,
            groups: layer.groups(),
            kernel: kernel(layer),
            shared: shared.is_some(),
            dense_gradient: self.moves() && self.regrow == Regrow::Gradient,
        };
        let lora_a = shared.cloned().unwrap_or_else(|| {
            let rows = geometry.groups * self.rank;
            let scale = 1.0 / (layer.inputs as f32).sqrt();
            let values = (0..rows * layer.inputs)
                .map(|_| normal(rng) * scale)
                .collect();
            param(values, [rows, layer.inputs], device).set_require_grad(self.train_shared)
        });
        let shape = [layer.outputs, self.rank];
        let lora_b_mask = (self.density < 1.0).then(|| {
            let size = shape[0] * shape[1];
            let mut mask = vec![0.0; size];
            for index in sample(rng, size, self.active(size)) {
                mask[index] = 1.0;
            }
            param(mask, shape, device).set_require_grad(false)
        });
        Adapter {
            lora_a,
            lora_b: zeros(shape, device),
            lora_b_mask,
            dropout: DropoutConfig::new(self.dropout).init(),
            geometry,
        }
    }
}
