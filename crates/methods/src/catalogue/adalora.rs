//! `AdaLoRA` (Zhang et al. 2023, arXiv:2303.10512): low-rank adapters whose ranks shrink where they
//! matter least.

use burn::Tensor;
use burn::nn::DropoutConfig;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check;
use super::rank_budget::{RankBudget, Schedule};
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Geometry, LowRank, WeightShape, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    BIASES_ARE_STORED, ByLayer, Form, HfPeft, Keys, LORA_REJECTED, LORA_UNUSED, LayerTensors,
    ONLY_AT_THE_START, Settings, Writer, not_in_hf_peft, param, rejected,
};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::random::rng;
use crate::state::Matrix;

/// Settings of `AdaLoRA`.
///
/// `ΔW = s·P·Λ·Q` with a diagonal `Λ` (equation 3). Parameters per layer before pruning:
/// `rank·(groups·inputs + outputs + groups)`.
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
    /// Share of the run after which the budget has fallen.
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
    /// The rank of a layer, which may have less room than asked for.
    fn rank_of(&self, layer: &Layer) -> usize {
        let WeightShape {
            inputs,
            outputs,
            groups,
            ..
        } = layer.shape;
        self.rank.min(inputs).min(outputs / groups)
    }

    /// Factor `s`.
    #[allow(clippy::cast_precision_loss)]
    fn scale(&self) -> f64 {
        // As in HF PEFT, which avoids a division by a rank of 0.
        self.alpha / (self.rank as f64 + 1e-5)
    }

    fn geometry(&self, layer: &Layer, rank: usize) -> Geometry {
        Geometry {
            weight: layer.shape,
            rank,
            scale: self.scale(),
            shared: false,
            divisor: 1.0,
            dense_gradient: false,
        }
    }
}

impl Spec for AdaloraConfig {
    type Adapter = LowRank;
    type Dynamics = RankBudget;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.03,
        large: 0.003,
    });
    const HF_PEFT: HfPeft<Self, LowRank> = HfPeft::Own(Form {
        peft_type: "ADALORA",
        keys: Keys {
            read: &[
                "init_r",
                "target_r",
                "lora_alpha",
                "lora_dropout",
                "tinit",
                "tfinal",
                "total_step",
                "deltaT",
                "beta1",
                "beta2",
                "orth_reg_weight",
            ],
            unused: &[
                ("r", "AdaLoRA's rank is `init_r`"),
                ("rank_pattern", "the stored factors are pruned by it"),
                ("alpha_pattern", "PEFT's AdaLoRA ignores it"),
                ("use_rslora", "PEFT's AdaLoRA ignores it"),
                ("init_lora_weights", ONLY_AT_THE_START),
                ("bias", BIASES_ARE_STORED),
                // Those of LoRA.
                LORA_UNUSED[0],
                LORA_UNUSED[1],
                LORA_UNUSED[2],
                LORA_UNUSED[3],
                LORA_UNUSED[4],
                LORA_UNUSED[5],
            ],
            rejected: &ADALORA_REJECTED,
        },
        write,
        read: |settings, _, _| {
            Ok(Box::new(ByLayer {
                settings: read(settings)?,
                read: read_layer,
            }))
        },
    });

    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
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

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(AdaloraMaker {
            config: self.clone(),
            rng: rng(context.seed, 4),
        })))
    }

    fn dynamics(&self, _seed: u64) -> Option<RankBudget> {
        Some(RankBudget::new(Schedule {
            rank: self.rank,
            target_rank: self.target_rank,
            warmup: self.warmup,
            settle: self.settle,
            interval: self.interval,
            beta1: self.beta1,
            beta2: self.beta2,
            orthogonality: self.orthogonality,
        }))
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        let WeightShape {
            inputs,
            outputs,
            groups,
            ..
        } = layer.shape;
        self.rank_of(layer) * (groups * inputs + outputs + groups)
    }
}

struct AdaloraMaker {
    config: AdaloraConfig,
    rng: ChaCha8Rng,
}

impl Maker<LowRank> for AdaloraMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<LowRank> {
        let (device, shape, rng) = (base.device(), layer.shape, &mut self.rng);
        let rank = self.config.rank_of(layer);
        let geometry = self.config.geometry(layer, rank);
        let rows = geometry.groups_rank();
        let q = start::gaussian(0.02, [rows, shape.inputs], &device, rng);
        let p = start::gaussian(0.02, [shape.outputs, rank], &device, rng);
        Made::from(LowRank {
            inner: Some(start::full(0.0, [rows], &device)),
            dropout: DropoutConfig::new(self.config.dropout).init(),
            ..LowRank::plain(q, p, geometry)
        })
    }
}

fn write(config: &AdaloraConfig, to: &mut Writer<'_>) -> Result<(), MethodError> {
    for (name, layer) in to.layers.clone() {
        if layer.shape.groups > 1 {
            return Err(not_in_hf_peft(
                &layer,
                "HF PEFT's AdaLoRA does not support groups",
            ));
        }
        let tensor = |field| to.tensors.matrix(&layer, field);
        let (Some(q), Some(p), Some(lambda)) = (
            tensor(LowRank::A),
            tensor(LowRank::B),
            tensor(LowRank::INNER),
        ) else {
            continue;
        };
        // In HF PEFT every layer has the same rank: the factors of a layer with less are filled with 0.
        let rank = config.rank;
        let padded = |matrix: &Matrix| {
            let mut matrix = matrix.clone();
            matrix.values.resize(rank * matrix.columns, 0.0);
            Matrix {
                rows: rank,
                ..matrix
            }
        };
        let q = padded(&q);
        let p = padded(&p.transposed()).transposed();
        let lambda = padded(&Matrix::of(&[lambda.values.len(), 1], lambda.values));
        let (inputs, outputs) = (q.columns, p.rows);
        to.put(&name, "lora_A", q, vec![rank, inputs]);
        to.put(&name, "lora_B", p, vec![outputs, rank]);
        to.put(&name, "lora_E", lambda, vec![rank, 1]);
    }
    to.insert(json!({
        "peft_type": "ADALORA",
        "init_r": config.rank,
        "target_r": config.target_rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "beta1": config.beta1,
        "beta2": config.beta2,
        "deltaT": config.interval,
        "orth_reg_weight": config.orthogonality,
        // HF PEFT requires a schedule even if no step is left.
        "total_step": 1,
        "tinit": 0,
        "tfinal": 0,
        "bias": "none",
        "fan_in_fan_out": false,
    }));
    Ok(())
}

/// What is not supported of HF PEFT's `AdaLoRA`: what is not of `LoRA`, and `DoRA`.
const ADALORA_REJECTED: [&str; LORA_REJECTED.len() + 1] = {
    let mut all = ["use_dora"; LORA_REJECTED.len() + 1];
    let mut index = 0;
    while index < LORA_REJECTED.len() {
        all[index] = LORA_REJECTED[index];
        index += 1;
    }
    all
};

fn read(settings: &Settings<'_>) -> Result<AdaloraConfig, MethodError> {
    let defaults = AdaloraConfig::default();
    let number = |name, default| Ok(settings.or(name, Settings::number)?.unwrap_or(default));
    let count = |name, default| Ok(settings.or(name, Settings::count)?.unwrap_or(default));
    // HF PEFT counts steps; the settings here are shares of the run.
    let steps = number("total_step", 1.0)?.max(1.0);
    let warmup = number("tinit", 0.0)?;
    let settle = steps - number("tfinal", 0.0)?;
    let alpha = number("lora_alpha", 8.0)?;
    if alpha <= 0.0 {
        // PEFT then scales by the rank instead, which it changes while it loads the file.
        return Err(rejected(format!(
            "`lora_alpha` is {alpha}, but must be above 0 for AdaLoRA"
        )));
    }
    let rank = count("init_r", 12)?;
    Ok(AdaloraConfig {
        rank,
        // PEFT's default of 8 may be above a smaller rank, from which nothing is then pruned.
        target_rank: count("target_r", 8)?.min(rank),
        alpha,
        dropout: number("lora_dropout", 0.0)?,
        warmup: warmup / steps,
        settle: settle / steps,
        interval: count("deltaT", 1)?,
        beta1: number("beta1", defaults.beta1)?,
        beta2: number("beta2", defaults.beta2)?,
        orthogonality: number("orth_reg_weight", 0.5)?,
    })
}

fn read_layer(
    config: &AdaloraConfig,
    from: &mut LayerTensors<'_>,
) -> Result<Option<LowRank>, MethodError> {
    let (layer, device) = (from.layer, from.device);
    let WeightShape {
        outputs,
        inputs,
        groups,
        ..
    } = layer.shape;
    if groups > 1 {
        return Ok(None);
    }
    let Some(mut a) = from.matrix("lora_A", None, Some(inputs))? else {
        return Ok(None);
    };
    let rank = a.rows;
    let mut b = from.second("lora_B", Some(outputs), Some(rank))?;
    let mut inner = from.second("lora_E", Some(rank), Some(1))?;
    if rank > config.rank {
        return Err(MethodError::OtherBase {
            difference: format!(
                "its factors of `{}` have the rank {rank}, above `init_r`, which is {}",
                from.name, config.rank
            ),
        });
    }
    // Of a layer that was pruned as a whole nothing is stored. A triplet of zeros changes nothing
    // either, and gets no gradient.
    let zeros = |rows: usize, columns: usize| Matrix::of(&[rows], vec![0.0; rows * columns]);
    let rank = rank.max(1);
    if a.rows == 0 {
        (a, b, inner) = (zeros(1, inputs), zeros(outputs, 1), zeros(1, 1));
    }
    let geometry = config.geometry(layer, rank);
    Ok(Some(LowRank {
        inner: Some(start::param(inner.values, [rank], device)),
        dropout: DropoutConfig::new(config.dropout).init(),
        ..LowRank::plain(param(a, device), param(b, device), geometry)
    }))
}
