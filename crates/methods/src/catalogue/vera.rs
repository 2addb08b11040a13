//! `VeRA` (Kopiczko et al. 2024, arXiv:2310.11454): two vectors per layer, one between and one after
//! the two frozen random factors that all layers share.

use burn::Tensor;
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Geometry, LowRank, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    BIASES_ARE_STORED, FOR_CONV1D, File, Form, HfPeft, Keys, LayerTensors, ONLY_AT_THE_START,
    ReadAdapters, Settings, Writer, parts,
};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, LayerKind, ParamInfo};
use crate::random::rng;

/// Settings of `VeRA`.
///
/// `ΔW = diag(b)·B·diag(d)·A` (equation 2). Parameters per layer: `groups·rank + outputs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VeraConfig {
    /// Rank `r` of the shared factors.
    pub rank: usize,
    /// The value that all of `d` starts from; `b` starts from 0.
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

impl Spec for VeraConfig {
    type Adapter = LowRank;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.1,
        large: 0.01,
    });
    const HF_PEFT: HfPeft<Self, LowRank> = HfPeft::Own(Form {
        peft_type: "VERA",
        keys: Keys {
            read: &["r", "d_initial", "vera_dropout"],
            unused: &[
                (
                    "projection_prng_key",
                    "the file has the factors that it draws",
                ),
                ("save_projection", "the file has the factors or lacks them"),
                ("fan_in_fan_out", FOR_CONV1D),
                ("bias", BIASES_ARE_STORED),
                ("init_weights", ONLY_AT_THE_START),
            ],
            rejected: &[],
        },
        write,
        read,
    });

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("d's start", self.d_initial)?;
        check::dropout(self.dropout)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        let mut rng = rng(context.seed, 3);
        let most = |size: fn(&Layer) -> usize| context.layers.iter().map(|layer| size(layer)).max();
        let inputs = most(|layer| layer.shape.inputs).unwrap_or(1);
        let outputs = most(|layer| layer.shape.outputs).unwrap_or(1);
        // Kaiming uniform with a gain of √2, as in HF PEFT: U(-√(6/n), √(6/n)) for n inputs.
        let mut factor = |shape: [usize; 2]| {
            let bound = 6.0_f32.sqrt() / start::root(shape[1]);
            start::uniform(bound, shape, context.device, &mut rng).set_require_grad(false)
        };
        Ok(Some(Box::new(VeraMaker {
            config: self.clone(),
            a: factor([self.rank, inputs]),
            b: factor([outputs, self.rank]),
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
        layer.shape.groups * self.rank + layer.shape.outputs
    }
}

struct VeraMaker {
    config: VeraConfig,
    a: Param<Tensor<2>>,
    b: Param<Tensor<2>>,
}

impl Maker<LowRank> for VeraMaker {
    #[allow(clippy::cast_possible_truncation)]
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<LowRank> {
        let device = base.device();
        let d = start::full(
            self.config.d_initial as f32,
            [layer.shape.groups * self.config.rank],
            &device,
        );
        let b = start::full(0.0, [layer.shape.outputs], &device);
        Made::from(adapter(
            layer,
            [self.a.clone(), self.b.clone()],
            [d, b],
            self.config.dropout,
        ))
    }
}

/// The adapter with shared factors `A` and `B` and vectors `d` and `b`.
fn adapter(
    layer: &Layer,
    [lora_a, lora_b]: [Param<Tensor<2>>; 2],
    [d, b]: [Param<Tensor<1>>; 2],
    dropout: f64,
) -> LowRank {
    let geometry = Geometry {
        weight: layer.shape,
        rank: lora_a.dims()[0],
        scale: 1.0,
        shared: true,
        divisor: 1.0,
        dense_gradient: false,
    };
    LowRank {
        inner: Some(d),
        outer: Some(b),
        dropout: DropoutConfig::new(dropout).init(),
        ..LowRank::plain(lora_a, lora_b, geometry)
    }
}

/// The names of the shared factors in HF PEFT's files.
const SHARED: [(Field<'static>, &str); 2] = [
    (LowRank::A, "base_model.vera_A"),
    (LowRank::B, "base_model.vera_B"),
];

/// Writes it as HF PEFT's `VeRA` if all layers are Linear, otherwise as the `LoRA` that it equals.
fn write(config: &VeraConfig, to: &mut Writer<'_>) -> Result<(), MethodError> {
    // Of a layer in parts, each would use the first rows of the shared `B`.
    let is_own =
        |(name, layer): &(String, Layer)| layer.kind == LayerKind::Linear && parts(name).len() == 1;
    if !to.layers.iter().all(is_own) {
        let tensors = to.tensors.clone();
        let vector = |layer: &Layer, field| {
            let found = tensors.matrix(layer, field).map(|vector| vector.values);
            found.unwrap_or_default()
        };
        to.as_lora(config.rank, false, |layer, factors| {
            let d = vector(layer, LowRank::INNER);
            let b = vector(layer, LowRank::OUTER);
            factors.a = factors.a.clone().scale_rows(&d);
            factors.b = factors.b.take().map(|matrix| matrix.scale_rows(&b));
            1.0
        })?;
        to.insert(json!({ "lora_dropout": config.dropout }));
        return Ok(());
    }
    to.copy_as(LowRank::INNER, "vera_lambda_d", |layer| {
        vec![layer.shape.groups * config.rank]
    });
    to.copy_as(LowRank::OUTER, "vera_lambda_b", |layer| {
        vec![layer.shape.outputs]
    });
    if let Some((_, layer)) = to.layers.first().cloned() {
        for (field, name) in SHARED {
            if let Some(matrix) = to.tensors.matrix(&layer, field) {
                to.put_shared(name, matrix);
            }
        }
    }
    to.insert(json!({
        "peft_type": "VERA",
        "r": config.rank,
        "d_initial": config.d_initial,
        "vera_dropout": config.dropout,
        "save_projection": true,
        "bias": "none",
        "fan_in_fan_out": false,
    }));
    Ok(())
}

fn read(
    settings: &Settings<'_>,
    file: &mut File,
    device: &Device,
) -> Result<Box<dyn ReadAdapters<VeraConfig, LowRank>>, MethodError> {
    let config = VeraConfig {
        rank: settings.or("r", Settings::count)?.unwrap_or(256),
        d_initial: settings.or("d_initial", Settings::number)?.unwrap_or(0.1),
        dropout: settings
            .or("vera_dropout", Settings::number)?
            .unwrap_or(0.0),
    };
    let [(_, a), (_, b)] = SHARED;
    let shared = [file.shared(a, device)?, file.shared(b, device)?];
    Ok(Box::new(ReadVera { config, shared }))
}

struct ReadVera {
    config: VeraConfig,
    /// `A` and `B`.
    shared: [Param<Tensor<2>>; 2],
}

impl ReadAdapters<VeraConfig, LowRank> for ReadVera {
    fn read(&mut self, from: &mut LayerTensors<'_>) -> Result<Option<LowRank>, MethodError> {
        let shape = from.layer.shape;
        let [a, b] = &self.shared;
        let [rank, widest] = a.dims();
        let Some(d) = from.numbers("vera_lambda_d", rank)? else {
            return Ok(None);
        };
        if self.config.rank != rank || b.dims()[1] != rank {
            return Err(MethodError::OtherBase {
                difference: format!(
                    "its shared factors are of ranks {rank} and {}, but `r` is {}",
                    b.dims()[1],
                    self.config.rank
                ),
            });
        }
        let outer = from.numbers("vera_lambda_b", shape.outputs)?;
        let fits = shape.inputs <= widest && shape.outputs <= b.dims()[0];
        let Some(outer) = outer.filter(|_| fits) else {
            return Err(MethodError::OtherBase {
                difference: format!("its shared factors are too small for `{}`", from.name),
            });
        };
        let shared = self.shared.clone();
        let dropout = self.config.dropout;
        Ok(Some(adapter(from.layer, shared, [d, outer], dropout)))
    }

    fn fit(&self, adapter: LowRank, _layer: &Layer, _base: Tensor<2>) -> Made<LowRank> {
        Made::from(adapter)
    }

    fn method(&self) -> VeraConfig {
        self.config.clone()
    }
}
