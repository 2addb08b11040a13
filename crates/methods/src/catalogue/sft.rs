//! Full fine-tuning.

use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, NoAdapter, Place, Spec};
use crate::error::MethodError;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};

/// Everything trains; it has no settings.
#[derive(Debug, Clone)]
pub(crate) struct Sft;

impl Spec for Sft {
    type Adapter = NoAdapter;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::Nowhere;
    const FREEZES_BASE: bool = false;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.005,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, NoAdapter> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        Ok(())
    }

    fn maker<'a>(&self, _context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(None)
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        true
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    /// `inputs·outputs`, and `outputs` for the bias.
    fn parameters_of(&self, layer: &Layer) -> usize {
        layer.shape.size() + layer.bias_size()
    }
}
