//! `BitFit` (Ben Zaken et al. 2022, arXiv:2106.10199).

use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, NoAdapter, Place, Spec};
use crate::error::MethodError;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};

/// Biases train, including the shifts of normalisations; it has no settings.
#[derive(Debug, Clone)]
pub(crate) struct Bitfit;

impl Spec for Bitfit {
    type Adapter = NoAdapter;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::Nowhere;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.1,
        large: 0.01,
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

    fn trained_beside(&self, parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        parameter.is_bias()
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    /// `outputs`, the bias.
    fn parameters_of(&self, layer: &Layer) -> usize {
        layer.bias_size()
    }
}
