//! `LoHa`, from `LyCORIS` (Yeh et al. 2024, arXiv:2309.14859), as in HF PEFT.

use burn::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, LearningRates, Place, Spec};
use crate::adapters::{Hadamard, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{ByLayer, Form, HfPeft, LayerTensors, Settings, Writer, param};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::random::rng;

/// Settings of `LoHa`.
///
/// Parameters per layer: `2·rank·(inputs + outputs)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LohaConfig {
    /// Rank of both matrices.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
}

impl Default for LohaConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 8.0,
        }
    }
}

impl LohaConfig {
    /// Factor `s`.
    #[allow(clippy::cast_precision_loss)]
    fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }
}

impl Spec for LohaConfig {
    type Adapter = Hadamard;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING_RATES: LearningRates = LearningRates {
        small: 0.01,
        large: 0.001,
    };
    const HF_PEFT: HfPeft<Self, Hadamard> = HfPeft::Own(Form {
        peft_type: "LOHA",
        supports: &[],
        write: |config, to| {
            write(config, to);
            Ok(())
        },
        read: |settings, _, _| {
            let config = Self {
                rank: settings.or("r", Settings::count)?.unwrap_or(8),
                alpha: settings.or("alpha", Settings::number)?.unwrap_or(8.0),
            };
            Ok(Box::new(ByLayer {
                settings: config,
                read,
            }))
        },
    });

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(LohaMaker {
            config: self.clone(),
            rng: rng(context.seed, 6),
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
        2 * self.rank * (layer.shape.inputs + layer.shape.outputs)
    }
}

struct LohaMaker {
    config: LohaConfig,
    rng: ChaCha8Rng,
}

impl Maker<Hadamard> for LohaMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Hadamard> {
        let (device, shape, rank) = (base.device(), layer.shape, self.config.rank);
        let rng = &mut self.rng;
        let (left, right) = ([shape.outputs, rank], [rank, shape.inputs]);
        Made::from(Hadamard {
            hada_w1_a: start::gaussian(0.1, left, &device, rng),
            hada_w1_b: start::gaussian(1.0, right, &device, rng),
            hada_w2_a: start::full(0.0, left, &device),
            hada_w2_b: start::gaussian(1.0, right, &device, rng),
            scale: self.config.scale(),
            shape,
        })
    }
}

fn write(config: &LohaConfig, to: &mut Writer<'_>) {
    to.insert(json!({ "peft_type": "LOHA", "r": config.rank, "alpha": config.alpha }));
    let factors = [
        Hadamard::W1_A,
        Hadamard::W1_B,
        Hadamard::W2_A,
        Hadamard::W2_B,
    ];
    to.copy(&factors, |_, _, matrix| vec![matrix.rows, matrix.columns]);
}

fn read(config: &LohaConfig, from: &mut LayerTensors<'_>) -> Result<Option<Hadamard>, MethodError> {
    let shape = from.layer.shape;
    let (outputs, inputs) = (Some(shape.outputs), Some(shape.inputs));
    let Some(first) = from.matrix(Hadamard::W1_A.name, outputs, None)? else {
        return Ok(None);
    };
    let mut next = |field: Field<'_>, rows, columns| {
        let found = from.second(field.name, rows, columns)?;
        Ok(param(found, from.device))
    };
    let rank = Some(first.columns);
    Ok(Some(Hadamard {
        hada_w1_b: next(Hadamard::W1_B, rank, inputs)?,
        hada_w2_a: next(Hadamard::W2_A, outputs, rank)?,
        hada_w2_b: next(Hadamard::W2_B, rank, inputs)?,
        hada_w1_a: param(first, from.device),
        scale: config.scale(),
        shape,
    }))
}
