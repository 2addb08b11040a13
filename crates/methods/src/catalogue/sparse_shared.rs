//! The sparse shared method, `peft`: weight sharing → dynamic weight update → sparse training.
//!
//! Each adapted layer `l` gets `ΔW_l = s · (M_l ⊙ B_l) · A_l`:
//!
//! - **sharing**: `A_l = A[:, :n_l] / √n_l` is a slice of one frozen random projection
//!   `A ∈ R^{r × n_max}` that all layers share (VeRA, Kopiczko et al. 2024, arXiv:2310.11454,
//!   section 3.1; `n_l` is the number of inputs that one output of the layer sees);
//! - **sparse**: `B_l`, 0 at the start, trains only where the mask `M_l` of fixed density is 1
//!   (LoRI, Zhang et al. 2025, arXiv:2504.07448);
//! - **dynamic**: the mask moves while training (SET, Mocanu et al. 2018, Nature Communications 9;
//!   see [`MovingMask`]).
//!
//! The parts are published; their combination is this project's. Each can be switched off.

use burn::Tensor;
use burn::module::Param;
use burn::nn::DropoutConfig;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check;
use super::moving_mask::{Budget, Moves, MovingMask, Regrow};
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Geometry, LowRank, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{HfPeft, Writer};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::random::{normal, rng};

/// Settings of the sparse shared method.
///
/// Parameters per layer: `density·rank·outputs`. If the projection trains, `rank` times the most inputs
/// of a layer for all layers together, or `rank·groups·inputs` per layer without sharing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SparseSharedConfig {
    /// Rank `r` of the projection.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
    /// Share of `B`'s entries that train, in `(0, 1]`.
    pub density: f64,
    /// Whether all layers share one projection instead of having one each.
    pub share: bool,
    /// Whether the projection trains as well.
    pub train_shared: bool,
    /// Whether the mask moves.
    pub dynamic: bool,
    /// Share `ρ` of the active entries that the first move replaces, in `[0, 1]`.
    pub drop_fraction: f64,
    /// Steps between moves of the mask, `ΔT`.
    pub interval: usize,
    /// Share of the run after which the mask stays, in `[0, 1]`.
    pub end: f64,
    /// Which inactive entries become active.
    pub regrow: Regrow,
    /// What stays constant while the mask moves.
    pub budget: Budget,
}

impl Default for SparseSharedConfig {
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

impl SparseSharedConfig {
    /// Whether there is a mask and it moves.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.dynamic && self.density < 1.0
    }

    /// Number of active entries of a layer whose `B` has `size` entries: at least one.
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
    fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// What a layer divides `A` by: `√inputs` if `A` is shared, so that the variance of `A·x` is that of
    /// `x` for `A ~ N(0, 1)`. A layer's own `A` is drawn with that variance instead.
    fn divisor(&self, layer: &Layer) -> f32 {
        if self.share {
            start::root(layer.shape.inputs)
        } else {
            1.0
        }
    }
}

impl Spec for SparseSharedConfig {
    type Adapter = LowRank;
    type Dynamics = MovingMask;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.1,
        large: 0.01,
    });
    const HF_PEFT: HfPeft<Self, LowRank> = HfPeft::AsAnother(write);

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
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

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        let mut rng = rng(context.seed, 2);
        let widest = context.layers.iter().map(|layer| layer.shape.inputs).max();
        let shared = self.share.then(|| {
            // A ~ N(0, 1), [rank, widest].
            let shape = [self.rank, widest.unwrap_or(1)];
            start::gaussian(1.0, shape, context.device, &mut rng)
                .set_require_grad(self.train_shared)
        });
        Ok(Some(Box::new(SparseSharedMaker {
            config: self.clone(),
            shared,
            rng,
        })))
    }

    fn dynamics(&self, seed: u64) -> Option<MovingMask> {
        let moves = Moves {
            dynamic: self.moves(),
            drop_fraction: self.drop_fraction,
            interval: self.interval,
            end: self.end,
            regrow: self.regrow,
            budget: self.budget,
            tie: self.share && self.train_shared,
        };
        (self.moves() || self.train_shared).then(|| MovingMask::new(moves, seed))
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    /// The entries of a shared projection that trains are not counted: they belong to no layer.
    fn parameters_of(&self, layer: &Layer) -> usize {
        let size = layer.shape.outputs * self.rank;
        let b = if self.density < 1.0 {
            self.active(size)
        } else {
            size
        };
        let own = self.train_shared && !self.share;
        let a = self.rank * layer.shape.groups * layer.shape.inputs;
        if own { b + a } else { b }
    }
}

/// Writes it as the `LoRA` that it equals.
fn write(config: &SparseSharedConfig, to: &mut Writer<'_>) -> Result<(), MethodError> {
    to.as_lora(config.rank, false, |layer, factors| {
        let divisor = config.divisor(layer);
        factors.a = factors.a.clone().map(|_, _, value| value / divisor);
        config.scale()
    })?;
    to.insert(json!({ "lora_dropout": config.dropout }));
    Ok(())
}

struct SparseSharedMaker {
    config: SparseSharedConfig,
    shared: Option<Param<Tensor<2>>>,
    rng: ChaCha8Rng,
}

impl Maker<LowRank> for SparseSharedMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<LowRank> {
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
        Made::from(LowRank {
            lora_a,
            lora_b: Some(start::full(0.0, shape, &device)),
            lora_b_mask,
            inner: None,
            outer: None,
            magnitude: None,
            base_square: None,
            dropout: DropoutConfig::new(config.dropout).init(),
            base_scales: None,
            geometry,
            quantize: None,
        })
    }
}
