//! A run between two epochs: all that it takes to go on as if nothing had happened.

use std::collections::{BTreeMap, HashMap};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, DType, Shape};
use burn_pack::{Reader, Scalar, Tensor, Writer};
use finetune_methods::{
    Dynamics, TrainedTensor, Values, from_safetensors, load, parameters, to_safetensors, trained,
};
use serde::{Deserialize, Serialize};

use crate::error::TrainingError;
use crate::train::Epoch;

/// A run after some of its epochs.
///
/// It holds what the method trained, the optimiser's state of it, and what the method itself
/// remembers; the rest of the model comes back from the base weights, the order of the images and
/// their augmentation from the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(crate) progress: Progress,
    /// Under `model.`, `optimizer.` and `method.`.
    tensors: Vec<TrainedTensor>,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) step_seconds: Vec<f64>,
    pub(crate) seconds: f64,
    /// The optimiser's numbers that are no tensors, by the parameter's path and the number's name.
    pub(crate) scalars: BTreeMap<String, Scalar>,
}

const METADATA: &str = "finetune-checkpoint";

impl Checkpoint {
    pub(crate) fn of<M: Module>(
        model: &M,
        optimizer: &ModuleOptimizer,
        dynamics: Option<&Dynamics>,
        progress: Progress,
    ) -> Result<Self, TrainingError> {
        let mut checkpoint = Self {
            progress,
            tensors: Vec::new(),
        };
        checkpoint.add("model", trained(model));
        if let Some(dynamics) = dynamics {
            checkpoint.add("method", dynamics.state(model));
        }
        checkpoint.add_optimizer(model, optimizer)?;
        Ok(checkpoint)
    }

    /// How many epochs are done.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.progress.epochs.len()
    }

    fn add(&mut self, part: &str, tensors: Vec<TrainedTensor>) {
        self.tensors
            .extend(tensors.into_iter().map(|tensor| TrainedTensor {
                path: format!("{part}.{}", tensor.path),
                ..tensor
            }));
    }

    fn part(&self, part: &str) -> Vec<TrainedTensor> {
        let tensors = self.tensors.iter().filter_map(|tensor| {
            let path = tensor.path.strip_prefix(part)?.strip_prefix('.')?;
            Some(TrainedTensor {
                path: path.to_owned(),
                ..tensor.clone()
            })
        });
        tensors.collect()
    }

    /// Burn names the state by the parameters' identities, which another process has not: here they
    /// go by path.
    fn add_optimizer<M: Module>(
        &mut self,
        model: &M,
        optimizer: &ModuleOptimizer,
    ) -> Result<(), TrainingError> {
        let paths: HashMap<String, String> = parameters(model)
            .into_iter()
            .rev()
            .map(|param| (param.id.val().to_string(), param.path))
            .collect();
        let by_path = |name: &str| {
            let (id, field) = name.split_once('.')?;
            Some(format!("{}:{field}", paths.get(id)?))
        };
        let reader = Reader::from_bytes(optimizer.into_bytes().map_err(state)?).map_err(state)?;
        for (name, value) in reader.scalars() {
            if let Some(name) = by_path(name) {
                self.progress.scalars.insert(name, *value);
            }
        }
        let mut found = Vec::new();
        for tensor in reader.into_tensors().map_err(state)? {
            let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(state)?;
            let Some(path) = by_path(&name) else { continue };
            if dtype != DType::F32 {
                return Err(state(format!("`{path}` is of {dtype:?}")));
            }
            let values = bytes.as_chunks::<4>().0.iter();
            found.push(TrainedTensor {
                path,
                shape: shape.to_vec(),
                values: Values::Floats(values.map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            });
        }
        self.add("optimizer", found);
        Ok(())
    }

    /// Puts a run back to where it was.
    pub(crate) fn restore<M: Module>(
        &self,
        model: M,
        optimizer: ModuleOptimizer,
        dynamics: Option<&mut Dynamics>,
    ) -> Result<(M, ModuleOptimizer), TrainingError> {
        let model = load(model, self.part("model")).map_err(other_run)?;
        if let Some(dynamics) = dynamics {
            dynamics
                .restore(&model, self.part("method"))
                .map_err(other_run)?;
        }
        let ids: HashMap<String, u64> = parameters(&model)
            .into_iter()
            .rev()
            .map(|param| (param.path, param.id.val()))
            .collect();
        let by_id = |name: &str| {
            let (path, field) = name.split_once(':')?;
            let id = ids.get(path)?;
            Some((*id, format!("{id}.{field}")))
        };
        let mut tensors = Vec::new();
        for tensor in self.part("optimizer") {
            let Some((id, name)) = by_id(&tensor.path) else {
                return Err(other_run(format!("it has no `{}`", tensor.path)));
            };
            let Values::Floats(values) = tensor.values else {
                return Err(other_run(format!("`{}` is not of numbers", tensor.path)));
            };
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let bytes = Bytes::from_bytes_vec(bytes);
            tensors.push(Tensor::new(
                name,
                DType::F32,
                Shape::from(tensor.shape),
                Some(id),
                bytes,
            ));
        }
        let mut writer = Writer::new(tensors);
        for (name, value) in &self.progress.scalars {
            if let Some((_, name)) = by_id(name) {
                writer = writer.with_scalar(&name, *value);
            }
        }
        for (path, id) in &ids {
            writer = writer.with_metadata(&id.to_string(), path);
        }
        let optimizer = optimizer
            .from_bytes(writer.into_bytes().map_err(state)?)
            .map_err(state)?;
        Ok((model, optimizer))
    }

    /// The bytes of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] where two tensors have one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainingError> {
        let progress = serde_json::to_string(&self.progress).map_err(other_run)?;
        let metadata = [(METADATA.to_owned(), progress)].into();
        to_safetensors(self.tensors.clone(), &metadata).map_err(other_run)
    }

    /// Reads those bytes.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] where they are not a run's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let tensors = from_safetensors(bytes).map_err(other_run)?;
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(other_run)?;
        let progress = header.metadata().as_ref().and_then(|map| map.get(METADATA));
        let progress = progress.ok_or_else(|| other_run("it says nothing of a run"))?;
        Ok(Self {
            progress: serde_json::from_str(progress).map_err(other_run)?,
            tensors,
        })
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn state<E: std::fmt::Display>(reason: E) -> TrainingError {
    TrainingError::OptimizerState(format!("{reason}"))
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn other_run<E: std::fmt::Display>(reason: E) -> TrainingError {
    TrainingError::Checkpoint(format!("{reason}"))
}
