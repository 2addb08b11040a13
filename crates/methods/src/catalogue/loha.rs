//! `LoHa`, from `LyCORIS` (Yeh et al. 2024, arXiv:2309.14859), as in HF PEFT.

use std::collections::BTreeMap;

use burn::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::during_training::NoDynamics;
use super::patterns::{self, Found, Patterns, has_patterns};
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Hadamard, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    Form, HfPeft, Keys, LayerTensors, ONLY_AT_THE_START, Ranks, ReadAdapters, Writer, param,
};
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
    /// Ranks of single layers, by regular expressions for the ends of their paths.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of single layers, by regular expressions for the ends of their paths.
    pub alpha_pattern: BTreeMap<String, f64>,
}

impl Default for LohaConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 8.0,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }
}

has_patterns!(LohaConfig);

impl Spec for LohaConfig {
    type Adapter = Hadamard;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.01,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, Hadamard> = HfPeft::Own(Form {
        peft_type: "LOHA",
        keys: Keys {
            read: &["r", "alpha", "rank_pattern", "alpha_pattern"],
            unused: &[("init_weights", ONLY_AT_THE_START)],
            rejected: &["rank_dropout", "module_dropout", "use_effective_conv2d"],
        },
        write: |config, to| {
            write(config, to);
            Ok(())
        },
        read: |settings, _, _| {
            Ok(Box::new(ReadLoha {
                ranks: Ranks::read(settings, "alpha")?,
                found: Vec::new(),
            }))
        },
    });

    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        self.patterns().check(layers)
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
        2 * self.patterns().rank_of(&layer.path) * (layer.shape.inputs + layer.shape.outputs)
    }
}

struct LohaMaker {
    config: LohaConfig,
    rng: ChaCha8Rng,
}

impl Maker<Hadamard> for LohaMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Hadamard> {
        let (device, shape) = (base.device(), layer.shape);
        let patterns = self.config.patterns();
        let rank = patterns.rank_of(&layer.path);
        let rng = &mut self.rng;
        let (left, right) = ([shape.outputs, rank], [rank, shape.inputs]);
        Made::from(Hadamard {
            hada_w1_a: start::gaussian(0.1, left, &device, rng),
            hada_w1_b: start::gaussian(1.0, right, &device, rng),
            hada_w2_a: start::full(0.0, left, &device),
            hada_w2_b: start::gaussian(1.0, right, &device, rng),
            scale: patterns.scale_of(&layer.path),
            shape,
        })
    }
}

fn write(config: &LohaConfig, to: &mut Writer<'_>) {
    to.insert(json!({ "peft_type": "LOHA" }));
    config.patterns().write(to);
    let factors = [
        Hadamard::W1_A,
        Hadamard::W1_B,
        Hadamard::W2_A,
        Hadamard::W2_B,
    ];
    to.copy(&factors, |_, _, matrix| vec![matrix.rows, matrix.columns]);
}

struct ReadLoha {
    ranks: Ranks,
    found: Found,
}

impl ReadAdapters<LohaConfig, Hadamard> for ReadLoha {
    #[allow(clippy::cast_precision_loss)]
    fn read(&mut self, from: &mut LayerTensors<'_>) -> Result<Option<Hadamard>, MethodError> {
        let shape = from.layer.shape;
        let (outputs, inputs) = (Some(shape.outputs), Some(shape.inputs));
        let Some(first) = from.matrix(Hadamard::W1_A.name, outputs, None)? else {
            return Ok(None);
        };
        let (rank, alpha) = self.ranks.checked(from.name, first.columns)?;
        self.found.push((from.layer.path.clone(), rank, alpha));
        let mut next = |field: Field<'_>, rows, columns| {
            let found = from.second(field.name, rows, columns)?;
            Ok(param(found, from.device))
        };
        let inner = Some(rank);
        Ok(Some(Hadamard {
            hada_w1_b: next(Hadamard::W1_B, inner, inputs)?,
            hada_w2_a: next(Hadamard::W2_A, outputs, inner)?,
            hada_w2_b: next(Hadamard::W2_B, inner, inputs)?,
            hada_w1_a: param(first, from.device),
            scale: alpha / rank as f64,
            shape,
        }))
    }

    fn fit(&self, adapter: Hadamard, _layer: &Layer, _base: Tensor<2>) -> Made<Hadamard> {
        Made::from(adapter)
    }

    fn method(&self) -> LohaConfig {
        let (rank, alpha) = self.ranks.usual();
        let (rank_pattern, alpha_pattern) = patterns::of_found(&self.found, (rank, alpha));
        LohaConfig {
            rank,
            alpha,
            rank_pattern,
            alpha_pattern,
        }
    }
}
