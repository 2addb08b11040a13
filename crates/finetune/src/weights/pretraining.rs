//! Pretraining: a model trained from random weights, to be fine-tuned later.

use std::path::{Path, PathBuf};

use finetune_data::{Images, Preprocess, SplitOptions, named, open};
use finetune_methods::Adapted;
use finetune_model::{Architecture, save_network};
use finetune_training::{Recipe, Schedule, TrainingData, train};

use super::metadata::Metadata;
use crate::config::EMBEDDED;
use crate::config::defaults::{self, For};
use crate::error::Error;
use crate::machine::device::{check_fits, device};

/// Learning rate that the shipped checkpoint was pretrained with.
const LEARNING_RATE: f64 = 0.005;

/// How a model is pretrained.
#[derive(Debug, Clone)]
pub struct Pretraining {
    /// The model's name.
    pub model: String,
    /// A data set's path, `embedded` (the digits 5–9) or `fashion-mnist` (its easier half).
    pub data: PathBuf,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// The recipe.
    pub recipe: Recipe,
    /// The device's name.
    pub device: String,
}

impl Pretraining {
    /// The default for a model: what made the shipped checkpoint.
    ///
    /// # Errors
    ///
    /// No model has that name.
    pub fn new(model: &str) -> Result<Self, Error> {
        let architecture = Architecture::find(model)?;
        let chapter = architecture.name == defaults::CHAPTER;
        let purpose = if chapter { For::Chapter } else { For::Small };
        let recipe = Recipe {
            epochs: if chapter { 8 } else { 15 },
            learning_rate: if chapter { 0.0003 } else { LEARNING_RATE },
            schedule: Schedule::OneCycle,
            // As the shipped checkpoint was made.
            drop_last: false,
            ..defaults::recipe(defaults::SCRATCH, purpose)
        };
        Ok(Self {
            model: model.to_owned(),
            data: PathBuf::from(EMBEDDED),
            image_size: architecture.image_size,
            recipe,
            device: "flex".to_owned(),
        })
    }

    fn images(&self, preprocess: &Preprocess) -> Result<Images, Error> {
        let set = match named(&self.data) {
            Some(set) => set.pretraining()?,
            None => open(&self.data, &SplitOptions::default())?.train,
        };
        Ok(set.decode(preprocess)?)
    }

    /// Trains the model and writes its weights to `out`; returns the file's size in bytes.
    ///
    /// # Errors
    ///
    /// The images cannot be read, a setting is out of range, the observer stops the training, or the
    /// file cannot be written.
    pub fn run(
        &self,
        out: &Path,
        observer: &mut impl finetune_training::Observer,
    ) -> Result<u64, Error> {
        let architecture = Architecture::find(&self.model)?.at(self.image_size)?;
        self.recipe.check()?;
        let images = self.images(&architecture.preprocess())?;
        let device = device(&self.device)?.autodiff();
        let normalization = architecture.normalization;
        check_fits(&self.device, &architecture, images.classes.len())?;
        let model = architecture.build(images.classes.len(), self.recipe.seed, &device);
        let attached = Adapted::from(model);
        let data = TrainingData {
            train: &images,
            valid: None,
            normalization,
        };
        let trained = train(attached, &data, &self.recipe, &device, observer)?;
        if trained.stopped {
            return Err(Error::Stopped(
                "stopped before the end; nothing was written",
            ));
        }
        let metadata = Metadata::new(&architecture, "pretrain", images.classes.clone());
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        Ok(save_network(
            &trained.model,
            &architecture,
            &metadata.to_map()?,
            out,
        )?)
    }
}
