//! `VPT`-deep (Jia et al. 2022, "Visual Prompt Tuning", arXiv:2203.12119): trained tokens before each
//! block of a transformer.

use burn::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Prompts, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::random::rng;

/// Settings of `VPT`-deep.
///
/// It takes effect on the layers that the model passes to [`prompted`](crate::prompted). Parameters per
/// layer with `in` inputs: `count·in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VptConfig {
    /// Number of prompts per block.
    pub count: usize,
}

impl Default for VptConfig {
    fn default() -> Self {
        Self { count: 10 }
    }
}

impl Spec for VptConfig {
    type Adapter = Prompts;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::Attention;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = false;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.01,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, Prompts> = HfPeft::Nothing;

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::count("number of prompts", self.count)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(VptMaker {
            config: self.clone(),
            rng: rng(context.seed, 9),
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
        self.count * layer.shape.inputs
    }
}

struct VptMaker {
    config: VptConfig,
    rng: ChaCha8Rng,
}

impl Maker<Prompts> for VptMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Prompts> {
        let width = layer.shape.inputs;
        // As the authors' code: Xavier uniform of a patch of 3·16·16 values and the width.
        let bound = 6.0_f32.sqrt() / start::root(3 * 16 * 16 + width);
        let shape = [self.config.count, width];
        Made::from(Prompts {
            prompts: start::uniform(bound, shape, &base.device(), &mut self.rng),
        })
    }
}
