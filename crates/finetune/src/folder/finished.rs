//! A finished run, loaded from its folder: its final model, or the model after one of its epochs.

use std::path::Path;

use burn::module::Module;
use finetune_data::{Images, StoredSize, open_test};
use finetune_evaluation::Confusion;
use finetune_methods::Adapted;
use finetune_model::{Head, Network, WeightsFile, load_adapter};
use finetune_training::{Checkpoint, Select};

use super::names::RunFolder;
use super::plan::Plan;
use crate::config::RunConfig;
use crate::error::Error;
use crate::machine::device::device;
use crate::run::{confusion, prepare};
use crate::weights::Metadata;

/// A run in its folder.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    config: RunConfig,
    folder: RunFolder,
    epoch: Option<usize>,
}

impl FinishedRun {
    /// Opens the run of that name, or the only one if no name is given. If `epoch` is given, from 1,
    /// the model is that of the epoch's checkpoint instead of the run's final one.
    ///
    /// # Errors
    ///
    /// The folder has no such run, or the run has no checkpoint of that epoch.
    pub fn open(folder: &Path, name: Option<&str>, epoch: Option<usize>) -> Result<Self, Error> {
        let plan = Plan::read_for(folder, epoch)?;
        Self::of(plan.pick(name)?, &plan, folder, epoch)
    }

    /// Opens all runs of a folder.
    ///
    /// # Errors
    ///
    /// The folder has no runs, or one of them has no checkpoint of that epoch.
    pub fn open_all(folder: &Path, epoch: Option<usize>) -> Result<Vec<Self>, Error> {
        let plan = Plan::read_for(folder, epoch)?;
        let runs = plan.runs.iter();
        runs.map(|run| Self::of(run, &plan, folder, epoch))
            .collect()
    }

    fn of(
        config: &RunConfig,
        plan: &Plan,
        folder: &Path,
        epoch: Option<usize>,
    ) -> Result<Self, Error> {
        let run = Self {
            config: config.clone(),
            folder: plan.folder(folder),
            epoch,
        };
        match epoch {
            Some(epoch) if !run.folder.epoch_checkpoint(config, epoch).exists() => {
                Err(Error::Usage(run.no_checkpoint(epoch)))
            }
            _ => Ok(run),
        }
    }

    /// The run's configuration.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The run's name in its folder: `lora` or `lora_seed1`.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder.name(&self.config)
    }

    /// The names of the classes, in the order of the logits.
    ///
    /// # Errors
    ///
    /// A file is missing or was not written by a run.
    pub fn classes(&self) -> Result<Vec<String>, Error> {
        let adapter = self.folder.adapter(&self.config);
        let file = adapter.unwrap_or_else(|| self.folder.model(&self.config));
        if self.epoch.is_some() && !file.exists() {
            // The run is unfinished and has only checkpoints, which do not hold the names.
            return Ok(self.config.data.open(self.config.seed)?.train.classes);
        }
        Ok(Metadata::of(&WeightsFile::open(&file)?)?.classes)
    }

    /// The model for inference. The final model is the base weights with the adapter if the method
    /// has one and `merged` is false, and the whole model otherwise.
    ///
    /// # Errors
    ///
    /// Files are missing or do not fit each other.
    pub fn network(&self, classes: usize, merged: bool) -> Result<Network, Error> {
        if let Some(epoch) = self.epoch {
            return Ok(self.after_epoch(epoch, classes)?.valid());
        }
        if !merged && let Some(network) = self.adapted_network(classes)? {
            return Ok(network.valid());
        }
        let config = &self.config;
        let device = device(&config.device)?;
        if !config.method.merges() {
            return Err(Error::Usage(format!(
                "{} adds layers that cannot be merged into the model",
                config.method_name()
            )));
        }
        let mut file = WeightsFile::open(&self.folder.model(config))?;
        let loaded = file.load(&config.architecture()?, classes, Head::Stored, &device)?;
        Ok(loaded.network)
    }

    /// The base weights with the run's adapter, as training left it; `None` if the method changes
    /// the base itself.
    ///
    /// # Errors
    ///
    /// Files are missing or do not fit each other.
    pub fn adapted_network(&self, classes: usize) -> Result<Option<Network>, Error> {
        let Some(file) = self.folder.adapter(&self.config) else {
            return Ok(None);
        };
        if let Some(epoch) = self.epoch {
            return self.after_epoch(epoch, classes).map(Some);
        }
        let model = self.attached(classes)?.into_parts().model;
        Ok(Some(load_adapter(model, &file)?))
    }

    /// Images for [`evaluate`](Self::evaluate): those of a data set, or the run's own test images.
    ///
    /// # Errors
    ///
    /// The data set is not valid, an image cannot be used, or its classes differ from those that the
    /// model was trained on.
    pub fn test_images(&self, data: Option<&Path>) -> Result<Images, Error> {
        let config = &self.config;
        let test = match data {
            None => config.data.open(config.seed)?.test,
            Some(path) => open_test(path)?,
        };
        let preprocess = config.data.preprocess(&config.architecture()?);
        let images = test.prepare(&preprocess, StoredSize::Fitted, &config.data.pipeline)?;
        let trained = self.classes()?;
        if images.classes != trained {
            return Err(Error::OtherClasses {
                found: images.classes,
                trained,
            });
        }
        Ok(images)
    }

    /// The confusion matrix of the run's model on images.
    ///
    /// # Errors
    ///
    /// Files are missing or do not fit each other.
    pub fn evaluate(&self, images: &Images, merged: bool) -> Result<Confusion, Error> {
        let config = &self.config;
        let network = self
            .network(images.classes.len(), merged)
            .map_err(Error::during(|| {
                format!(
                    "cannot reload {} of {}",
                    config.method_name(),
                    self.folder.path().display()
                )
            }))?;
        confusion(&network, images, config, &device(&config.device)?)
    }

    /// The model as it was after an epoch.
    fn after_epoch(&self, epoch: usize, classes: usize) -> Result<Network, Error> {
        let path = self.folder.epoch_checkpoint(&self.config, epoch);
        let cannot = || format!("cannot read the checkpoint {}", path.display());
        let bytes = std::fs::read(&path).map_err(Error::io("read the checkpoint", &path))?;
        let checkpoint = Checkpoint::from_bytes(&bytes).map_err(Error::during(cannot))?;
        drop(bytes);
        let model = checkpoint.model(self.attached(classes)?, &self.config.recipe);
        model.map_err(Error::during(cannot))
    }

    /// The run's method on its base, before training.
    fn attached(&self, classes: usize) -> Result<Adapted<Network>, Error> {
        let device = device(&self.config.device)?.autodiff();
        Ok(prepare(&self.config, classes, &device)?.attached)
    }

    /// Says that an epoch has no checkpoint, and which epochs have one.
    fn no_checkpoint(&self, epoch: usize) -> String {
        let recipe = &self.config.recipe;
        let is_last = epoch == recipe.epochs && recipe.select == Select::Last;
        let retained = self.folder.checkpointed_epochs(&self.config);
        let retained: Vec<String> = retained.iter().map(usize::to_string).collect();
        let remedy = match retained.as_slice() {
            _ if is_last => "it is the last one: omit --epoch".to_owned(),
            [] => "it retained none (see --keep-checkpoints)".to_owned(),
            [one] => format!("it retained that of epoch {one}"),
            _ => format!("it retained those of the epochs {}", retained.join(", ")),
        };
        format!(
            "{} in {} has no checkpoint of epoch {epoch}; {remedy}",
            self.name(),
            self.folder.path().display()
        )
    }
}
