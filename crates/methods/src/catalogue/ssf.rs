//! `SSF` (Lian et al. 2022, arXiv:2210.08823): scaled and shifted activations.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Scale, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};

/// Settings of `SSF`; there are none.
///
/// Normalisations train their own scale and shift. A layer without a bias is scaled only, so that the
/// whole change can be merged; the normalisation after it provides the shift. Parameters per layer:
/// `2·outputs`, or `outputs` if it has no bias.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SsfConfig {}

impl Spec for SsfConfig {
    type Adapter = Scale;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.03,
        large: 0.003,
    });
    const HF_PEFT: HfPeft<Self, Scale> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        Ok(())
    }

    fn maker<'a>(&self, _context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(SsfMaker)))
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        parameter.is_norm()
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        layer.shape.outputs + layer.bias_size()
    }
}

struct SsfMaker;

impl Maker<Scale> for SsfMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Scale> {
        let (device, shape) = (base.device(), layer.shape);
        Made::from(Scale {
            on_inputs: None,
            on_outputs: Some(start::full(1.0, [shape.outputs], &device)),
            shift: layer
                .bias
                .then(|| start::full(0.0, [shape.outputs], &device)),
            shape,
        })
    }
}
