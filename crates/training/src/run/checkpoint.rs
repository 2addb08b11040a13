//! The state of a run between two steps, as a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use finetune_methods::state::{from_safetensors, write_safetensors};
use finetune_methods::{
    Adapted, Floats, ParamInfo, TrainedTensor, Values, load, parameters, trained,
};

use super::best::{Best, best};
use super::progress::Progress;
use super::state::RunState;
use crate::error::TrainingError;
use crate::recipe::Recipe;
use crate::step::{Ema, ModelOptimizer};

/// The state of a run between two epochs, or where it was stopped within one, from which [`resume`](crate::resume) goes on.
///
/// It holds the trained tensors, their average, those of the best epoch, and the state of the
/// optimiser and of the method. The rest of the model comes from the base weights; the order and
/// the augmentation of the images come from the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    progress: Progress,
    /// Each path begins with the name of a [`Part`].
    tensors: Vec<TrainedTensor>,
    /// What the file says about the run, besides its state.
    about: Option<String>,
}

/// What a tensor of a checkpoint belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The tensors that the method trains.
    Model,
    /// The moments of the optimiser.
    Optimizer,
    /// The state of the method.
    Method,
    /// The average of the weights.
    Average,
    /// The trained tensors of the best epoch.
    Best,
}

impl Part {
    /// The first component of a tensor's path in the file.
    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Optimizer => "optimizer",
            Self::Method => "method",
            Self::Average => "average",
            Self::Best => "best",
        }
    }
}

/// The key of [`Progress`] in the metadata of the file.
const METADATA: &str = "finetune-checkpoint";
/// The key of [`Checkpoint::about`].
const ABOUT: &str = "finetune-run";
/// The key of the checksum over all of the above.
const CHECKSUM: &str = "finetune-crc32c";

/// The name of the steps at which the entries of a parameter were last cleared.
const CLEARED: &str = "cleared";

impl Checkpoint {
    /// The state of a run.
    pub(super) fn of<M: Module>(run: &RunState<M>) -> Self {
        let mut checkpoint = Self {
            progress: Progress {
                ema_updates: run.ema.as_ref().map_or(0, Ema::updates),
                best: run.best.as_ref().map(|best| best.epoch),
                ..run.progress.clone()
            },
            tensors: Vec::new(),
            about: None,
        };
        checkpoint.add(Part::Model, trained(&run.model));
        if let Some(dynamics) = &run.dynamics {
            checkpoint.add(Part::Method, dynamics.state(&run.model));
        }
        if let Some(ema) = &run.ema {
            checkpoint.add(Part::Average, ema.tensors());
        }
        if let Some(best) = &run.best {
            checkpoint.add(Part::Best, best.tensors.clone());
        }
        checkpoint.add_optimizer(&run.model, &run.optimizer);
        checkpoint
    }

    /// Whether no value is NaN or infinite.
    pub(super) fn is_finite(&self) -> bool {
        self.tensors.iter().all(|tensor| match &tensor.values {
            Values::Floats(values) => values.iter().all(|value| value.is_finite()),
            Values::Indices(_) => true,
        })
    }

    /// The number of finished epochs.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.progress.epochs.len()
    }

    /// Whether the run was stopped within an epoch.
    #[must_use]
    pub fn is_within_epoch(&self) -> bool {
        self.progress.partial.is_some()
    }

    /// The number of finished steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.progress.step_seconds.len()
    }

    /// The epoch (from 1) with the best validation accuracy so far; `None` without validation
    /// images.
    #[must_use]
    pub fn best_epoch(&self) -> Option<usize> {
        best(&self.progress.epochs)
    }

    fn add(&mut self, part: Part, tensors: Vec<TrainedTensor>) {
        self.tensors
            .extend(tensors.into_iter().map(|tensor| TrainedTensor {
                path: format!("{}.{}", part.name(), tensor.path),
                ..tensor
            }));
    }

    /// The tensors of a part, under their paths in that part.
    fn part(&self, part: Part) -> Vec<TrainedTensor> {
        let tensors = self.tensors.iter().filter_map(|tensor| {
            let path = tensor.path.strip_prefix(part.name())?.strip_prefix('.')?;
            Some(TrainedTensor {
                path: path.to_owned(),
                ..tensor.clone()
            })
        });
        tensors.collect()
    }

    /// Adds the state of the optimiser by path, because the identities of parameters change from
    /// process to process.
    fn add_optimizer<M: Module>(&mut self, model: &M, optimizer: &ModelOptimizer) {
        let mut found = Vec::new();
        for param in first_occurrences(model) {
            let Some(memory) = optimizer.memory(param.id) else {
                continue;
            };
            self.progress.steps.insert(param.path.clone(), memory.steps);
            if let Some(cleared) = &memory.cleared {
                let cleared = cleared
                    .iter()
                    .map(|step| u32::try_from(*step).unwrap_or(u32::MAX));
                found.push(TrainedTensor {
                    path: format!("{}:{CLEARED}", param.path),
                    shape: param.shape.clone(),
                    values: Values::Indices(cleared.collect()),
                });
            }
            for (name, moment) in optimizer.names().iter().zip(&memory.moments) {
                found.push(TrainedTensor {
                    path: format!("{}:{name}", param.path),
                    shape: param.shape.clone(),
                    values: Values::Floats(Floats::of(moment.clone())),
                });
            }
        }
        self.add(Part::Optimizer, found);
    }

    /// Puts a run that has not begun into the state of the checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if it belongs to another run.
    pub(super) fn restore<M: Module>(
        &self,
        mut run: RunState<M>,
    ) -> Result<RunState<M>, TrainingError> {
        run.model = load(run.model, self.part(Part::Model)).map_err(other_run)?;
        if let Some(dynamics) = &mut run.dynamics {
            dynamics
                .restore(&run.model, self.part(Part::Method))
                .map_err(other_run)?;
        }
        let device = run.model.devices().into_iter().next().unwrap_or_default();
        let device = device.inner();
        if let Some(ema) = &mut run.ema {
            ema.restore(self.progress.ema_updates, self.part(Part::Average), &device)?;
        }
        run.best = self.progress.best.map(|epoch| Best {
            epoch,
            tensors: self.part(Part::Best),
        });
        self.restore_optimizer(&run.model, &mut run.optimizer, &device)?;
        run.progress = self.progress.clone();
        Ok(run)
    }

    /// The model that was validated after the checkpoint's last epoch: with averaged weights if the
    /// recipe averages them. `attached` is the run's method, attached to the run's base model.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if the checkpoint belongs to another run.
    pub fn model<M: Module>(
        &self,
        attached: Adapted<M>,
        recipe: &Recipe,
    ) -> Result<M, TrainingError> {
        let mut parts = attached.into_parts();
        let model = load(parts.model, self.part(Part::Model)).map_err(other_run)?;
        let Some(decay) = recipe.ema else {
            return Ok(model);
        };
        if let Some(dynamics) = &mut parts.dynamics {
            dynamics
                .restore(&model, self.part(Part::Method))
                .map_err(other_run)?;
        }
        let device = model.devices().into_iter().next().unwrap_or_default();
        let mut ema = Ema::new(decay, &model);
        ema.restore(
            self.progress.ema_updates,
            self.part(Part::Average),
            &device.inner(),
        )?;
        Ok(ema.output(model, parts.dynamics.as_ref()))
    }

    fn restore_optimizer<M: Module>(
        &self,
        model: &M,
        optimizer: &mut ModelOptimizer,
        device: &Device,
    ) -> Result<(), TrainingError> {
        let mut moments: HashMap<String, Vec<f32>> = HashMap::new();
        let mut cleared: HashMap<String, Vec<u64>> = HashMap::new();
        for tensor in self.part(Part::Optimizer) {
            match tensor.values {
                Values::Floats(values) => {
                    moments.insert(tensor.path, values.into_vec());
                }
                Values::Indices(steps) => {
                    let steps = steps.into_iter().map(u64::from).collect();
                    cleared.insert(tensor.path, steps);
                }
            }
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
                    .ok_or_else(|| other_run(format!("`{path}` of {size} values is missing")))
            });
            let found = found.collect::<Result<_, _>>()?;
            // Checkpoints of older versions, and of masks that have not moved, have none.
            let cleared = cleared.remove(&format!("{}:{CLEARED}", param.path));
            let size = param.shape.iter().product::<usize>();
            let fits = |cleared: &Vec<u64>| {
                cleared.len() == size && cleared.iter().all(|step| step <= steps)
            };
            if cleared.as_ref().is_some_and(|cleared| !fits(cleared)) {
                return Err(other_run(format!(
                    "the steps of the entries of `{}` do not fit",
                    param.path
                )));
            }
            optimizer.restore(param.id, *steps, found, cleared, device);
            left -= 1;
        }
        if left > 0 {
            return Err(other_run(
                "it has the optimiser state of parameters that the model lacks",
            ));
        }
        Ok(())
    }

    /// What [`write`](Self::write) was told about the run; `None` in files of versions before 0.2.
    #[must_use]
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Writes the checkpoint to a safetensors file, without a copy of the tensors in memory. `about`
    /// says which run it belongs to, in whatever form the caller likes; a reader gets it from
    /// [`about`](Self::about).
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if the file cannot be written.
    pub fn write(&self, path: &Path, about: Option<&str>) -> Result<(), TrainingError> {
        let mut metadata = BTreeMap::new();
        let progress = serde_json::to_string(&self.progress).map_err(other_run)?;
        let checksum = checksum(&self.tensors, &progress, about);
        metadata.insert(METADATA.to_owned(), progress);
        metadata.extend(about.map(|about| (ABOUT.to_owned(), about.to_owned())));
        metadata.insert(CHECKSUM.to_owned(), checksum);
        write_safetensors(&self.tensors, &metadata, path).map_err(other_run)
    }

    /// Reads a checkpoint from the bytes of a file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if they are no checkpoint, or one of whose values some have
    /// changed since it was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainingError> {
        let tensors = from_safetensors(bytes).map_err(other_run)?;
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(other_run)?;
        let entry = |key| header.metadata().as_ref().and_then(|map| map.get(key));
        let progress =
            entry(METADATA).ok_or_else(|| other_run("the file holds no training state"))?;
        let about = entry(ABOUT);
        if let Some(expected) = entry(CHECKSUM)
            && *expected != checksum(&tensors, progress, about.map(String::as_str))
        {
            return Err(other_run("its values have changed since it was written"));
        }
        Ok(Self {
            progress: serde_json::from_str(progress).map_err(other_run)?,
            tensors,
            about: about.cloned(),
        })
    }

    /// Checks what the file claims against a run of this recipe with so many steps per epoch.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Checkpoint`] if a run of this recipe has no such state.
    pub(super) fn check(&self, recipe: &Recipe, per_epoch: usize) -> Result<(), TrainingError> {
        let Progress {
            epochs,
            step_seconds,
            best,
            partial,
            ..
        } = &self.progress;
        if epochs.len() > recipe.epochs {
            return Err(other_run(format!(
                "it is of epoch {}, but the run has {} epochs",
                epochs.len(),
                recipe.epochs
            )));
        }
        let whole = epochs.len().checked_mul(per_epoch);
        let rest = whole.and_then(|whole| step_seconds.len().checked_sub(whole));
        let fits = match (partial, rest) {
            (None, rest) => rest == Some(0),
            (Some(_), Some(rest)) => rest <= per_epoch && epochs.len() < recipe.epochs,
            (Some(_), None) => false,
        };
        if !fits {
            return Err(other_run(format!(
                "it has {} steps in {} epochs, but the run has {per_epoch} per epoch",
                step_seconds.len(),
                epochs.len()
            )));
        }
        let numbered = epochs
            .iter()
            .zip(1..)
            .all(|(epoch, number)| epoch.epoch == number);
        if !numbered || best.is_some_and(|best| !(1..=epochs.len()).contains(&best)) {
            return Err(other_run(
                "the numbers of its epochs are not those of a run",
            ));
        }
        Ok(())
    }
}

/// CRC-32C over names, shapes and values of the tensors in the order of their names, and over the
/// rest, in hexadecimal. It finds damage, not forgery.
fn checksum(tensors: &[TrainedTensor], progress: &str, about: Option<&str>) -> String {
    let mut crc = 0;
    let mut text = |bytes: &[u8]| {
        crc = crc32c::crc32c_append(crc, &(bytes.len() as u64).to_le_bytes());
        crc = crc32c::crc32c_append(crc, bytes);
    };
    let mut sorted: Vec<&TrainedTensor> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    for tensor in sorted {
        text(tensor.path.as_bytes());
        for length in &tensor.shape {
            text(&(*length as u64).to_le_bytes());
        }
        match &tensor.values {
            Values::Floats(values) => text(&values.to_le_bytes()),
            Values::Indices(values) => {
                for value in values {
                    text(&value.to_le_bytes());
                }
            }
        }
    }
    text(progress.as_bytes());
    text(about.unwrap_or_default().as_bytes());
    format!("{crc:08x}")
}

/// Every parameter once, with the first of its paths.
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
