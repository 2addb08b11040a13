//! The methods by name, and attaching one to a model.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleDisplay, Param, ParamGroup, ParamId, Reparameterizer};
use serde::{Deserialize, Serialize};

use crate::adapter::Adapter;
use crate::dynamics::SparseDynamics;
use crate::error::MethodError;
use crate::layers::{layers, nearest, parameters};
use crate::lora::LoraConfig;
use crate::peft::PeftConfig;
use crate::random::rng;
use crate::targets::{Targets, is_under};

/// What of a model trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Method {
    /// Full fine-tuning: everything trains, `BatchNorm` statistics move.
    Sft,
    /// The head alone; everything else, statistics included, is frozen.
    Linear,
    /// Low-rank adapters and the head.
    Lora(LoraConfig),
    /// Sparse adapters on a shared projection, and the head.
    Peft(PeftConfig),
}

/// A model with a method attached.
#[derive(Debug)]
pub struct Attached<M> {
    /// The model; what is frozen is frozen, what trains requires gradients.
    pub model: M,
    /// What the training loop calls at every step, for methods that change while training.
    pub dynamics: Option<SparseDynamics>,
}

/// Where a method works.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Path of the head, e.g. `linear`: always trained, never adapted.
    pub head: &'a str,
    /// The layers that get an adapter.
    pub targets: &'a Targets,
    /// Seed of the adapters' random start.
    pub seed: u64,
}

impl Method {
    /// The method's name on the command line and in file names.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Linear => "linear",
            Self::Lora(_) => "lora",
            Self::Peft(_) => "peft",
        }
    }

    /// Whether the base stays as it is, so that what was trained can be kept without it.
    #[must_use]
    pub fn freezes_base(&self) -> bool {
        !matches!(self, Self::Sft)
    }

    /// Attaches the method to a model whose parameters all train.
    ///
    /// An adapter's `B` is 0, so the model computes what it did before.
    ///
    /// # Errors
    ///
    /// A setting out of range, a head or target that names no layer, or a model that carries
    /// adapters already.
    pub fn attach<M: Module + ModuleDisplay>(
        &self,
        model: M,
        scope: &Scope<'_>,
    ) -> Result<Attached<M>, MethodError> {
        let head = head_ids(&model, scope.head)?;
        match self {
            Self::Sft => Ok(Attached {
                model,
                dynamics: None,
            }),
            Self::Linear => Ok(Attached {
                model: model.freeze().unfreeze_group(head),
                dynamics: None,
            }),
            Self::Lora(config) => {
                config.check()?;
                let adapters = build(&model, scope, |layers, device| {
                    let mut rng = rng(scope.seed, 1);
                    layers
                        .iter()
                        .map(|layer| config.adapter(layer, device, &mut rng))
                        .collect()
                })?;
                Ok(Attached {
                    model: attach(model, adapters, head),
                    dynamics: None,
                })
            }
            Self::Peft(config) => {
                config.check()?;
                let adapters = build(&model, scope, |layers, device| {
                    let mut rng = rng(scope.seed, 2);
                    let widest = layers.iter().map(|layer| layer.inputs).max().unwrap_or(1);
                    let shared = config
                        .share
                        .then(|| config.projection(widest, device, &mut rng));
                    layers
                        .iter()
                        .map(|layer| config.adapter(layer, shared.as_ref(), device, &mut rng))
                        .collect()
                })?;
                let dynamics = (config.moves() || config.train_shared)
                    .then(|| SparseDynamics::new(config.clone(), scope.seed));
                Ok(Attached {
                    model: attach(model, adapters, head),
                    dynamics,
                })
            }
        }
    }
}

fn head_ids<M: Module>(model: &M, head: &str) -> Result<ParamGroup, MethodError> {
    let parameters = parameters(model);
    if let Some(adapted) = parameters.iter().find(|param| param.owner == "Adapter") {
        let path = adapted
            .path
            .split(".adapter.")
            .next()
            .unwrap_or_default()
            .to_owned();
        return Err(MethodError::AlreadyAdapted { path });
    }
    let ids: Vec<ParamId> = parameters
        .iter()
        .filter(|param| is_under(&param.path, head))
        .map(|param| param.id)
        .collect();
    if ids.is_empty() {
        let paths = parameters
            .iter()
            .filter_map(|param| param.path.rsplit_once('.'));
        let mut paths: Vec<_> = paths.map(|(layer, _)| layer).collect();
        paths.dedup();
        return Err(MethodError::HeadNotFound {
            head: head.to_owned(),
            nearest: nearest(head, paths.into_iter(), 3),
        });
    }
    Ok(ParamGroup::from_ids(ids))
}

fn build<M: Module + ModuleDisplay>(
    model: &M,
    scope: &Scope<'_>,
    make: impl FnOnce(&[&crate::layers::Layer], &burn::tensor::Device) -> Vec<Adapter>,
) -> Result<HashMap<ParamId, Adapter>, MethodError> {
    let layers = layers(model);
    let selected = scope.targets.select(&layers, scope.head)?;
    let device = model.devices().into_iter().next().unwrap_or_default();
    let adapters = make(&selected, &device);
    Ok(selected
        .iter()
        .map(|layer| layer.weight)
        .zip(adapters)
        .collect())
}

fn attach<M: Module>(model: M, adapters: HashMap<ParamId, Adapter>, head: ParamGroup) -> M {
    model
        .freeze()
        .apply_reparameterization(Attach { adapters })
        .unfreeze_group(head)
}

struct Attach {
    adapters: HashMap<ParamId, Adapter>,
}

impl Reparameterizer for Attach {
    type Reparam = Adapter;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Adapter>) {
        let adapter = self.adapters.remove(&param.id);
        (param, adapter)
    }
}
