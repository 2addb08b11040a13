//! What a run is: everything that was typed, resolved and checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use finetune_data::{
    IdxOptions, ImageSet, Images, Preprocess, SplitOptions, Splits, embedded_signs, open, open_idx,
};
use finetune_methods::{Method, Targets};
use finetune_model::Architecture;
use finetune_training::Recipe;
use serde::{Deserialize, Serialize};

use crate::cli::Format;

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

/// Which images, how many, and of what size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Folder, `embedded` or `fashion-mnist`.
    pub path: PathBuf,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// Training images of each class; `None` is all.
    pub train_per_class: Option<usize>,
    /// Share of the training images that are held out for validation, where the folder brings
    /// none along.
    pub valid_fraction: f64,
}

/// Decoded images of a run.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Where they came from.
    pub name: String,
    /// To learn from.
    pub train: Images,
    /// To choose settings with.
    pub valid: Option<Images>,
    /// To be tested with.
    pub test: Images,
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

impl DataConfig {
    /// Opens the images without decoding them, chooses and splits them.
    ///
    /// # Errors
    ///
    /// Where the folder is not as it should be.
    pub fn open(&self, seed: u64) -> Result<Splits> {
        let mut splits = match self.path.to_str() {
            Some("embedded") => embedded_signs(),
            Some("fashion-mnist") => fashion_mnist(FashionHalf::Hard)?,
            _ => open(&self.path, &SplitOptions::default())?,
        };
        if self.valid_fraction > 0.0 && splits.valid.is_none() {
            let (train, valid) = splits.train.split(self.valid_fraction, 0);
            splits.train = train;
            splits.valid = Some(valid);
        }
        if let Some(count) = self.train_per_class {
            splits.train = splits.train.take_per_class(count, seed);
        }
        Ok(splits)
    }

    /// Opens and decodes the images.
    ///
    /// # Errors
    ///
    /// Where the folder is not as it should be, or an image cannot be decoded.
    pub fn decode(&self, seed: u64, preprocess: &Preprocess) -> Result<Decoded> {
        let splits = self.open(seed)?;
        let decode = |set: &ImageSet| set.decode(preprocess);
        Ok(Decoded {
            train: decode(&splits.train)?,
            valid: splits.valid.as_ref().map(decode).transpose()?,
            test: decode(&splits.test)?,
            name: splits.name,
        })
    }
}

/// The two halves of Fashion-MNIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FashionHalf {
    /// The five classes that are hard to tell apart.
    Hard,
    /// The other five, to pretrain with.
    Other,
}

/// Fashion-MNIST from the folder of Debian's package `dataset-fashion-mnist`: 200 training and 100
/// test images a class of the hard half, 1000 of the other.
///
/// # Errors
///
/// Where the files are not there.
pub fn fashion_mnist(half: FashionHalf) -> Result<Splits> {
    const FOLDER: &str = "/usr/share/datasets/fashion-mnist";
    let (classes, train_per_class): (&[(u8, &str)], usize) = match half {
        FashionHalf::Hard => (
            &[
                (0, "T-shirt"),
                (2, "pullover"),
                (3, "dress"),
                (4, "coat"),
                (6, "shirt"),
            ],
            200,
        ),
        FashionHalf::Other => (
            &[
                (1, "trouser"),
                (5, "sandal"),
                (7, "sneaker"),
                (8, "bag"),
                (9, "boot"),
            ],
            1000,
        ),
    };
    let options = IdxOptions {
        classes,
        train_per_class,
        test_per_class: 100,
        seed: 0,
    };
    open_idx(Path::new(FOLDER), &options)
        .context("Fashion-MNIST is not installed (`apt-get install dataset-fashion-mnist`)")
}
