//! The images of a run: which ones, opened and made ready.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use finetune_data::{
    Augment, Broken, Fold, IdxOptions, ImageSet, Images, Keep, Pipeline, Preprocess, Sampling,
    SplitOptions, Splits, embedded_signs, open, open_idx,
};
use finetune_model::Architecture;
use serde::{Deserialize, Serialize};

/// Which images, how many, and of what size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Folder, manifest, Parquet file, `embedded` or `fashion-mnist`.
    pub path: PathBuf,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// Training images of each class; `None` is all.
    pub train_per_class: Option<usize>,
    /// Share of the training images that are held out for validation, where the folder brings
    /// none along.
    pub valid_fraction: f64,
    /// The fold that is held out.
    #[serde(default)]
    pub fold: Option<Fold>,
    /// How the images of an epoch are chosen.
    #[serde(default)]
    pub sampling: Sampling,
    /// Images with more pixels are refused; `None` is the usual limit.
    #[serde(default)]
    pub max_pixels: Option<u64>,
    /// How they get from their files into batches.
    #[serde(default)]
    pub pipeline: Pipeline,
}

/// The images of a run, ready for batches.
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

impl DataConfig {
    /// All images of a path.
    #[must_use]
    pub fn new(path: PathBuf, image_size: usize) -> Self {
        Self {
            path,
            image_size,
            train_per_class: None,
            valid_fraction: 0.0,
            fold: None,
            sampling: Sampling::default(),
            max_pixels: None,
            pipeline: Pipeline::default(),
        }
    }

    /// Whether it is a data set that goes by a name, and no path.
    #[must_use]
    pub fn is_named(&self) -> bool {
        matches!(self.path.to_str(), Some("embedded" | "fashion-mnist"))
    }

    /// Opens the images without decoding them, chooses and splits them.
    ///
    /// # Errors
    ///
    /// Where the data set is not as it should be.
    pub fn open(&self, seed: u64) -> Result<Splits> {
        let options = SplitOptions {
            fold: self.fold,
            ..SplitOptions::default()
        };
        let mut splits = match self.path.to_str() {
            Some("embedded") => embedded_signs().folded(&options)?,
            Some("fashion-mnist") => fashion_mnist(FashionHalf::Hard)?.folded(&options)?,
            _ => open(&self.path, &options)?,
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

    /// How an architecture's images are prepared.
    #[must_use]
    pub fn preprocess(&self, architecture: &Architecture) -> Preprocess {
        let preprocess = architecture.preprocess();
        Preprocess {
            max_pixels: self.max_pixels.unwrap_or(preprocess.max_pixels),
            ..preprocess
        }
    }

    /// Opens the images and makes them ready for batches.
    ///
    /// # Errors
    ///
    /// Where the data set is not as it should be, or an image cannot be used.
    pub fn prepare(
        &self,
        seed: u64,
        preprocess: &Preprocess,
        augment: &Augment,
    ) -> Result<Decoded> {
        let splits = self.open(seed)?;
        let keep = match augment.crop {
            Some(_) => Keep::Whole,
            None => Keep::Fitted,
        };
        let fitted = |set: &ImageSet| set.prepare(preprocess, Keep::Fitted, &self.pipeline);
        let mut train = splits.train.prepare(preprocess, keep, &self.pipeline)?;
        train.sampling = self.sampling;
        Ok(Decoded {
            train,
            valid: splits.valid.as_ref().map(fitted).transpose()?,
            test: fitted(&splits.test)?,
            name: splits.name,
        })
    }
}

impl Decoded {
    fn parts(&self) -> impl Iterator<Item = &Images> {
        [Some(&self.train), self.valid.as_ref(), Some(&self.test)]
            .into_iter()
            .flatten()
    }

    /// Images that were left out.
    #[must_use]
    pub fn skipped(&self) -> Vec<Broken> {
        self.parts().flat_map(|part| part.skipped.clone()).collect()
    }

    /// What a person should know of the images: which were left out and where the others are kept.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        const SHOWN: usize = 10;
        let skipped = self.skipped();
        let shown = skipped.iter().take(SHOWN);
        let mut notes: Vec<String> = shown
            .map(|broken| format!("left out: {}", broken.reason))
            .collect();
        if skipped.len() > SHOWN {
            let more = skipped.len() - SHOWN;
            notes.push(format!("left out: {more} more; the report lists them all"));
        }
        let mut of_parts: Vec<&String> =
            self.parts().filter_map(|part| part.note.as_ref()).collect();
        of_parts.dedup();
        notes.extend(of_parts.into_iter().cloned());
        notes
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
