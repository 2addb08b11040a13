//! What a run left, loaded from its folder: its end, or the end of one of its epochs.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use finetune_data::Images;
use finetune_evaluation::Confusion;
use finetune_methods::Adapted;
use finetune_model::{Checkpoint, Head, Network, load_adapter};
use finetune_training::{Checkpoint as TrainingCheckpoint, Keep};

use crate::config::RunConfig;
use crate::device::device;
use crate::exit::Usage;
use crate::keeper::Keeping;
use crate::metadata::Metadata;
use crate::run::{adapter_file, model_file, prepare, stem, test};

/// A run in its folder.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// What the run is.
    pub config: &'a RunConfig,
    /// Where its files are.
    pub folder: &'a Path,
    /// Whether their names carry the seed.
    pub with_seed: bool,
    /// The epoch whose checkpoint is meant, from 1; `None` is what the run gave in the end.
    pub epoch: Option<usize>,
}

impl Finished<'_> {
    /// Checks that there is a checkpoint of the epoch.
    ///
    /// # Errors
    ///
    /// [`Usage`] that says which epochs have one.
    pub fn check(&self) -> Result<()> {
        let keeping = self.keeping();
        match self.epoch {
            Some(epoch) if !keeping.of_epoch(epoch).exists() => {
                bail!(Usage(self.which_epochs(epoch, &keeping.epochs())))
            }
            _ => Ok(()),
        }
    }

    /// Names of the classes that the model tells apart.
    ///
    /// # Errors
    ///
    /// A file that is missing or was not written by a run.
    pub fn classes(&self) -> Result<Vec<String>> {
        let file = adapter_file(self.config, self.with_seed)
            .unwrap_or_else(|| model_file(self.config, self.with_seed));
        let file = self.folder.join(file);
        if self.epoch.is_some() && !file.exists() {
            // The run still goes on, or was broken off: its images say.
            return Ok(self.config.data.open(self.config.seed)?.train.classes);
        }
        Ok(Metadata::of(&Checkpoint::open(&file)?)?.classes)
    }

    /// The model, for images to be shown to: of the run's end the adapter on the base weights where
    /// the method has one and `merged` is not asked for, the whole model otherwise.
    ///
    /// # Errors
    ///
    /// Files that are missing or do not fit each other.
    pub fn network(&self, classes: usize, merged: bool) -> Result<Network> {
        if let Some(epoch) = self.epoch {
            return Ok(self.of_epoch(epoch, classes)?.valid());
        }
        if !merged && let Some(network) = self.network_to_train(classes)? {
            return Ok(network.valid());
        }
        let config = self.config;
        let device = device(&config.device)?;
        if !config.method.merges() {
            bail!(Usage(format!(
                "what {} adds cannot be merged into a model of plain layers",
                config.method_name()
            )));
        }
        let file = self.folder.join(model_file(config, self.with_seed));
        let mut file = Checkpoint::open(&file)?;
        let loaded = file.load(&config.architecture()?, classes, Head::Stored, &device)?;
        Ok(loaded.network)
    }

    /// The base weights with the run's adapter on them, as training left it; `None` where the method
    /// changed the base itself.
    ///
    /// # Errors
    ///
    /// Files that are missing or do not fit each other.
    pub fn network_to_train(&self, classes: usize) -> Result<Option<Network>> {
        let Some(file) = adapter_file(self.config, self.with_seed) else {
            return Ok(None);
        };
        if let Some(epoch) = self.epoch {
            return self.of_epoch(epoch, classes).map(Some);
        }
        let model = self.attached(classes)?.into_parts().model;
        Ok(Some(load_adapter(model, &self.folder.join(file))?))
    }

    /// The model as it was after an epoch.
    fn of_epoch(&self, epoch: usize, classes: usize) -> Result<Network> {
        let path = self.keeping().of_epoch(epoch);
        let cannot = || format!("cannot read the checkpoint {}", path.display());
        let bytes = std::fs::read(&path).with_context(cannot)?;
        let checkpoint = TrainingCheckpoint::from_bytes(&bytes).with_context(cannot)?;
        drop(bytes);
        let model = checkpoint.model(self.attached(classes)?, &self.config.recipe);
        model.with_context(cannot)
    }

    /// The run's method on its base, before training.
    fn attached(&self, classes: usize) -> Result<Adapted<Network>> {
        let device = device(&self.config.device)?.autodiff();
        Ok(prepare(self.config, classes, &device)?.attached)
    }

    fn keeping(&self) -> Keeping {
        Keeping::of(self.config, self.folder, self.with_seed)
    }

    /// Why there is nothing of an epoch.
    fn which_epochs(&self, epoch: usize, kept: &[usize]) -> String {
        let recipe = &self.config.recipe;
        let is_last = epoch == recipe.epochs && recipe.keep == Keep::Last;
        let kept: Vec<String> = kept.iter().map(usize::to_string).collect();
        let remedy = match kept.as_slice() {
            _ if is_last => "it is the last one: leave --epoch out".to_owned(),
            [] => "it kept none (--keep-checkpoints N does)".to_owned(),
            [one] => format!("it kept the one of epoch {one}"),
            _ => format!("it kept those of the epochs {}", kept.join(", ")),
        };
        format!(
            "{} in {} has no checkpoint of epoch {epoch}; {remedy}",
            stem(self.config, self.with_seed),
            self.folder.display()
        )
    }

    /// Tests the run's model on images.
    ///
    /// # Errors
    ///
    /// Files that are missing or do not fit each other.
    pub fn evaluate(&self, images: &Images, merged: bool) -> Result<Confusion> {
        let config = self.config;
        let network = self
            .network(images.classes.len(), merged)
            .with_context(|| {
                format!(
                    "cannot reload {} of {}",
                    config.method_name(),
                    self.folder.display()
                )
            })?;
        let normalization = config.architecture()?.normalization;
        test(
            &network,
            images,
            normalization,
            config,
            &device(&config.device)?,
        )
    }
}
