//! A run between two epochs: all that it takes to go on as if nothing had happened.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use finetune_methods::state::{from_safetensors, write_safetensors};
use finetune_methods::{
    Adapted, Floats, ParamInfo, TrainedTensor, Values, load, parameters, trained,
};
use serde::{Deserialize, Serialize};

use crate::best::Best;
use crate::ema::Ema;
use crate::error::TrainingError;
use crate::observer::Epoch;
use crate::optimizer::ModelOptimizer;
use crate::recipe::Recipe;
use crate::run::Run;

/// A run after some of its epochs.
///
/// It holds what the method trained, the optimiser's state of it, and what the method itself
/// remembers; the rest of the model comes back from the base weights, the order of the images and
/// their augmentation from the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(crate) progress: Progress,
    /// Under `model.`, `optimizer.`, `method.`, `average.` and `best.`.
    tensors: Vec<TrainedTensor>,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) step_seconds: Vec<f64>,
    pub(crate) seconds: f64,
    /// Updates of the weights' average.
    #[serde(default)]
    pub(crate) ema_updates: usize,
    /// The best epoch.
    #[serde(default)]
    pub(crate) best: Option<usize>,
    /// How often the optimiser has stepped each parameter, by path.
    pub(crate) steps: BTreeMap<String, u64>,
}

const METADATA: &str = "finetune-checkpoint";

impl Checkpoint {
    pub(crate) fn of<M: Module>(run: &Run<M>) -> Self {
        let mut checkpoint = Self {
            progress: Progress {
                ema_updates: run.ema.as_ref().map_or(0, Ema::updates),
                best: run.best.as_ref().map(|best| best.epoch),
                ..run.progress.clone()
            },
            tensors: Vec::new(),
        };
        checkpoint.add("model", trained(&run.model));
        if let Some(dynamics) = &run.dynamics {
            checkpoint.add("method", dynamics.state(&run.model));
        }
        if let Some(ema) = &run.ema {
            checkpoint.add("average", ema.tensors());
        }
        if let Some(best) = &run.best {
            checkpoint.add("best", best.tensors.clone());
        }
        checkpoint.add_optimizer(&run.model, &run.optimizer);
        checkpoint
    }

    /// Whether every number of it is one.
    pub(crate) fn is_finite(&self) -> bool {
        self.tensors.iter().all(|tensor| match &tensor.values {
            Values::Floats(values) => values.iter().all(|value| value.is_finite()),
            Values::Indices(_) => true,
        })
    }

    /// How many epochs are done.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.progress.epochs.len()
    }

    /// How many steps are done.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.progress.step_seconds.len()
    }

    /// The epoch so far that the validation images like best; `None` without such images.
    #[must_use]
    pub fn best_epoch(&self) -> Option<usize> {
        let epochs = &self.progress.epochs;
        let best = epochs.iter().fold(None, |best: Option<&Epoch>, new| {
            if Best::is_better(best, new) {
                Some(new)
            } else {
                best
            }
        });
        best.map(|best| best.epoch)
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

    /// The state goes by path: another process has other identities.
    fn add_optimizer<M: Module>(&mut self, model: &M, optimizer: &ModelOptimizer) {
        let mut found = Vec::new();
        for param in first_occurrences(model) {
            let Some(memory) = optimizer.memory(param.id) else {
                continue;
            };
            self.progress.steps.insert(param.path.clone(), memory.steps);
            for (name, moment) in optimizer.names().iter().zip(&memory.moments) {
                found.push(TrainedTensor {
                    path: format!("{}:{name}", param.path),
                    shape: param.shape.clone(),
                    values: Values::Floats(Floats::of(moment.clone())),
                });
            }
        }
        self.add("optimizer", found);
    }

    /// Puts a run back to where it was.
    pub(crate) fn restore<M: Module>(&self, mut run: Run<M>) -> Result<Run<M>, TrainingError> {
        run.model = load(run.model, self.part("model")).map_err(other_run)?;
        if let Some(dynamics) = &mut run.dynamics {
            dynamics
                .restore(&run.model, self.part("method"))
                .map_err(other_run)?;
        }
        let device = run.model.devices().into_iter().next().unwrap_or_default();
        let device = device.inner();
        if let Some(ema) = &mut run.ema {
            ema.restore(self.progress.ema_updates, self.part("average"), &device)?;
        }
        run.best = self.progress.best.map(|epoch| Best {
            epoch,
            tensors: self.part("best"),
        });
        self.restore_optimizer(&run.model, &mut run.optimizer, &device)?;
        run.progress = self.progress.clone();
        Ok(run)
    }

    /// The model as it was after the checkpoint's last epoch, the one that was validated then: with
    /// the averages in the place of the weights where the recipe keeps them. `attached` is the run's
    /// method on the run's base.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] where it is another run's.
    pub fn model<M: Module>(
        &self,
        attached: Adapted<M>,
        recipe: &Recipe,
    ) -> Result<M, TrainingError> {
        let model = load(attached.into_parts().model, self.part("model")).map_err(other_run)?;
        let Some(decay) = recipe.ema else {
            return Ok(model);
        };
        let device = model.devices().into_iter().next().unwrap_or_default();
        let mut ema = Ema::new(decay, &model);
        ema.restore(
            self.progress.ema_updates,
            self.part("average"),
            &device.inner(),
        )?;
        Ok(ema.on(model))
    }

    fn restore_optimizer<M: Module>(
        &self,
        model: &M,
        optimizer: &mut ModelOptimizer,
        device: &Device,
    ) -> Result<(), TrainingError> {
        let mut moments: HashMap<String, Vec<f32>> = HashMap::new();
        for tensor in self.part("optimizer") {
            let Values::Floats(values) = tensor.values else {
                return Err(other_run(format!("`{}` is not of numbers", tensor.path)));
            };
            moments.insert(tensor.path, values.into_vec());
        }
        let mut left = self.progress.steps.len();
        for param in first_occurrences(model) {
            let Some(steps) = self.progress.steps.get(&param.path) else {
                continue;
            };
            let found = optimizer.names().iter().map(|name| {
                let path = format!("{}:{name}", param.path);
                let size = param.shape.iter().product::<usize>();
                (moments.remove(&path))
                    .filter(|values| values.len() == size)
                    .ok_or_else(|| other_run(format!("it has no `{path}` of {size} values")))
            });
            let found = found.collect::<Result<_, _>>()?;
            optimizer.remember(param.id, *steps, found, device);
            left -= 1;
        }
        if left > 0 {
            return Err(other_run("it steps parameters that the model has not"));
        }
        Ok(())
    }

    /// Writes it to a safetensors file, without holding that in memory.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] where two tensors have one name or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainingError> {
        write_safetensors(&self.tensors, &self.metadata()?, path).map_err(other_run)
    }

    fn metadata(&self) -> Result<BTreeMap<String, String>, TrainingError> {
        let progress = serde_json::to_string(&self.progress).map_err(other_run)?;
        Ok([(METADATA.to_owned(), progress)].into())
    }

    /// Reads the bytes of such a file.
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

/// Every parameter once, under the first of its paths.
fn first_occurrences<M: Module>(model: &M) -> Vec<ParamInfo> {
    let mut seen = std::collections::HashSet::new();
    let mut found = parameters(model);
    found.retain(|param| seen.insert(param.id));
    found
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn other_run<E: std::fmt::Display>(reason: E) -> TrainingError {
    TrainingError::Checkpoint(format!("{reason}"))
}
