//! `SHiRA` (Bhardwaj et al. 2024, arXiv:2406.13175): random entries of each weight.

use std::collections::HashSet;

use burn::Tensor;
use burn::module::{Param, ParamId};
use burn::tensor::{Int, TensorData};
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Sparse, WeightShape};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    ByLayer, FOR_CONV1D, Form, HfPeft, Keys, LayerTensors, ONLY_AT_THE_START, Settings, Writer,
    not_in_hf_peft,
};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, LayerKind, ParamInfo};
use crate::random::rng;
use crate::state::Values;

/// Settings of `SHiRA` (Bhardwaj et al. 2024, arXiv:2406.13175): random entries (`SHiRA`-Rand).
///
/// Parameters per layer: `rank·(inputs + outputs)`, as many as those of an ungrouped `LoRA` of that
/// rank, but at most `inputs·outputs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShiraConfig {
    /// Rank of the `LoRA` with as many parameters.
    pub rank: usize,
}

impl Default for ShiraConfig {
    fn default() -> Self {
        Self { rank: 8 }
    }
}

impl ShiraConfig {
    /// Entries of a weight that train.
    fn count(&self, shape: &WeightShape) -> usize {
        (self.rank * (shape.inputs + shape.outputs)).min(shape.size())
    }
}

impl Spec for ShiraConfig {
    type Adapter = Sparse;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.01,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, Sparse> = HfPeft::Own(Form {
        peft_type: "SHIRA",
        keys: Keys {
            read: &["r"],
            unused: &[
                ("mask_type", "the positions of the entries are stored"),
                ("random_seed", "the positions of the entries are stored"),
                ("fan_in_fan_out", FOR_CONV1D),
                ("init_weights", ONLY_AT_THE_START),
            ],
            rejected: &[],
        },
        write,
        read: |settings, _, _| {
            let config = Self {
                rank: settings.or("r", Settings::count)?.unwrap_or(32),
            };
            Ok(Box::new(ByLayer {
                settings: config,
                read,
            }))
        },
    });

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(ShiraMaker {
            config: self.clone(),
            rng: rng(context.seed, 5),
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
        self.count(&layer.shape)
    }
}

struct ShiraMaker {
    config: ShiraConfig,
    rng: ChaCha8Rng,
}

impl Maker<Sparse> for ShiraMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Sparse> {
        let shape = layer.shape;
        let count = self.config.count(&shape);
        let mut positions = sample(&mut self.rng, shape.size(), count).into_vec();
        positions.sort_unstable();
        Made::from(Sparse::zeros(positions, shape, &base.device()))
    }
}

fn write(config: &ShiraConfig, to: &mut Writer<'_>) -> Result<(), MethodError> {
    for (name, layer) in to.layers.clone() {
        if layer.kind != LayerKind::Linear {
            return Err(not_in_hf_peft(
                &layer,
                "HF PEFT's SHiRA supports Linear layers only",
            ));
        }
        let (inputs, outputs) = (layer.shape.inputs, layer.shape.outputs);
        if config.rank * (inputs + outputs) > inputs * outputs {
            return Err(not_in_hf_peft(
                &layer,
                "HF PEFT's SHiRA would need more entries of it than it has; lower the rank",
            ));
        }
        let (Some(values), Some(positions)) = (
            to.tensors.matrix(&layer, Sparse::WEIGHT),
            to.tensors.indices(&layer, Sparse::INDICES),
        ) else {
            continue;
        };
        let count = positions.len();
        to.put(&name, Sparse::WEIGHT.name, values, vec![count]);
        let width = u32::try_from(inputs).unwrap_or(u32::MAX);
        let rows = positions.iter().map(|position| position / width);
        let columns = positions.iter().map(|position| position % width);
        let indices = rows.chain(columns).collect();
        to.put_indices(&name, Sparse::INDICES.name, indices, vec![2, count]);
    }
    to.insert(json!({
        "peft_type": "SHIRA",
        "r": config.rank,
        "mask_type": "random",
        "fan_in_fan_out": false,
    }));
    Ok(())
}

fn read(_config: &ShiraConfig, from: &mut LayerTensors<'_>) -> Result<Option<Sparse>, MethodError> {
    let shape = from.layer.shape;
    let Some((index_shape, indices)) = from.indices(Sparse::INDICES.name) else {
        return Ok(None);
    };
    let name = from.name;
    let wrong = || MethodError::OtherBase {
        difference: format!("its `{name}.{}` do not fit the layer", Sparse::INDICES.name),
    };
    let Values::Indices(indices) = indices else {
        return Err(wrong());
    };
    let (rows, columns) = indices.split_at(indices.len() / 2);
    let count = rows.len();
    let position = |(row, column): (&u32, &u32)| {
        let (row, column) = (*row as usize, *column as usize);
        (row < shape.outputs && column < shape.inputs)
            .then(|| i64::try_from(row * shape.inputs + column).ok())
            .flatten()
    };
    let positions: Option<Vec<i64>> = rows.iter().zip(columns).map(position).collect();
    let positions = positions
        .filter(|positions| index_shape.first() == Some(&2) && positions.len() == count)
        .ok_or_else(wrong)?;
    let distinct: HashSet<_> = positions.iter().collect();
    if count == 0 || distinct.len() != count {
        return Err(wrong());
    }
    let values = from.numbers(Sparse::WEIGHT.name, count)?;
    let positions = TensorData::new(positions, [count]);
    let positions = Tensor::<1, Int>::from_data(positions, from.device);
    Ok(Some(Sparse {
        shira_weight: values.ok_or_else(wrong)?,
        shira_indices: Param::initialized(ParamId::new(), positions),
        shape,
    }))
}
