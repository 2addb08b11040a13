//! What a run is: everything that was typed, resolved and checked.

use std::path::PathBuf;

use anyhow::Result;
use finetune_methods::{Method, Targets};
use finetune_model::Architecture;
use finetune_training::Recipe;
use serde::{Deserialize, Serialize};

use crate::cli::Format;
pub use crate::images::{DataConfig, Decoded};

/// One run: a method, a seed, and all that goes with them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// What trains.
    pub method: Method,
    /// Whether the weights are random instead of pretrained: the yardstick `scratch`.
    pub from_scratch: bool,
    /// The model's name.
    pub model: String,
    /// The pretrained weights' file; `None` is the shipped checkpoint.
    pub weights: Option<PathBuf>,
    /// The images.
    pub data: DataConfig,
    /// Pattern of the layers that get an adapter; `None` is the model's own.
    pub targets: Option<String>,
    /// Pattern of layers that are left out.
    pub exclude_targets: Option<String>,
    /// Numbers of the blocks whose layers get one; all where empty.
    #[serde(default)]
    pub layers_to_transform: Vec<usize>,
    /// What stands before a block's number.
    #[serde(default)]
    pub layers_pattern: Option<String>,
    /// Layers that train whole beside the head.
    #[serde(default)]
    pub modules_to_save: Vec<String>,
    /// Whether `BatchNorm` statistics of a frozen base move.
    #[serde(default)]
    pub adapt_statistics: bool,
    /// Epochs, batches, optimiser and the like.
    pub recipe: Recipe,
    /// Whether a range test chooses the learning rate.
    #[serde(default)]
    pub auto_rate: bool,
    /// The device's name.
    pub device: String,
    /// Threads that compute; `None` is one a core.
    pub threads: Option<usize>,
    /// Kind of file that the finished model is written as, beside safetensors.
    #[serde(default)]
    pub format: Format,
    /// Least time between two checkpoints, seconds.
    #[serde(default)]
    pub checkpoint_seconds: u64,
    /// How many epochs keep a checkpoint of their own.
    #[serde(default)]
    pub keep_checkpoints: usize,
    /// Seed of all that is random.
    pub seed: u64,
}

impl RunConfig {
    /// The method's name on the command line and in file names, `scratch` included.
    #[must_use]
    pub fn method_name(&self) -> &'static str {
        if self.from_scratch {
            "scratch"
        } else {
            self.method.name()
        }
    }

    /// The model's architecture, for the run's image size.
    ///
    /// # Errors
    ///
    /// Where there is none of that name, or it does not take images of that size.
    pub fn architecture(&self) -> Result<Architecture> {
        Ok(Architecture::find(&self.model)?.at(self.data.image_size)?)
    }

    /// Opens and prepares the run's images.
    ///
    /// # Errors
    ///
    /// Where the data set is not as it should be, or an image cannot be used.
    pub fn images(&self) -> Result<Decoded> {
        let preprocess = self.data.preprocess(&self.architecture()?);
        self.data
            .prepare(self.seed, &preprocess, &self.recipe.augment)
    }

    /// The layers that get an adapter.
    ///
    /// # Errors
    ///
    /// Where a pattern is no regular expression.
    pub fn targets(&self) -> Result<Targets> {
        let targets = match &self.targets {
            Some(pattern) => Targets::parse(pattern)?,
            None => Targets::parse(self.architecture()?.targets_of(&self.method)?)?,
        };
        let targets = match &self.exclude_targets {
            Some(pattern) => targets.exclude(pattern)?,
            None => targets,
        };
        Ok(if self.layers_to_transform.is_empty() {
            targets
        } else {
            targets.in_blocks(&self.layers_to_transform, self.layers_pattern.as_deref())?
        })
    }
}
