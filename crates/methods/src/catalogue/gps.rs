//! `GPS` (Zhang et al. 2024, "Gradient-based Parameter Selection", arXiv:2312.10136): of each output,
//! the entries with the largest gradients before training.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::Sparse;
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Importance, Layer, ParamInfo};

/// Settings of `GPS`.
///
/// The paper uses the gradients of a contrastive loss on the features; here they are those of the
/// classification loss, including the head. Parameters per layer: `per_output·outputs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpsConfig {
    /// Number of entries that train per output.
    pub per_output: usize,
}

impl Default for GpsConfig {
    fn default() -> Self {
        Self { per_output: 8 }
    }
}

impl Spec for GpsConfig {
    type Adapter = Sparse;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = true;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.03,
        large: 0.003,
    });
    const HF_PEFT: HfPeft<Self, Sparse> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::at_least_one("entries of each output", self.per_output)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        let importance = context.importance.ok_or(MethodError::NeedsGradients {
            method: context.method,
        })?;
        Ok(Some(Box::new(GpsMaker {
            per_output: self.per_output,
            importance,
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
        self.per_output.min(layer.shape.inputs) * layer.shape.outputs
    }
}

struct GpsMaker<'a> {
    per_output: usize,
    importance: &'a Importance,
}

impl Maker<Sparse> for GpsMaker<'_> {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Sparse> {
        let shape = layer.shape;
        let scores = self.importance.of(layer);
        let mut positions = Vec::new();
        for (output, row) in scores.chunks_exact(shape.inputs).enumerate() {
            let mut order: Vec<usize> = (0..shape.inputs).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
            order.truncate(self.per_output);
            order.sort_unstable();
            positions.extend(order.into_iter().map(|input| output * shape.inputs + input));
        }
        Made::from(Sparse::zeros(positions, shape, &base.device()))
    }
}
