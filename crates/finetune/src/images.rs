//! The images of a run: which ones, opened and made ready.

use std::path::PathBuf;

use anyhow::{Result, bail};
use finetune_data::check::UnusableImage;
use finetune_data::{
    Augment, Fold, ImageSet, Images, Pipeline, Preprocess, Sampling, SplitOptions, Splits,
    StoredSize, named, open,
};
use finetune_model::Architecture;
use serde::{Deserialize, Serialize};

use crate::cli::ImageArgs;
use crate::exit::Usage;
use crate::output::note;
use crate::weights;

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

impl ImageArgs {
    /// The images that were asked for.
    ///
    /// # Errors
    ///
    /// Numbers out of their range.
    pub fn config(&self, image_size: usize) -> Result<DataConfig> {
        if !(0.0..1.0).contains(&self.valid_fraction) {
            bail!(Usage(format!(
                "the share of validation images is {}, but must be at least 0 and below 1",
                self.valid_fraction
            )));
        }
        if self.train_per_class == Some(0) || self.workers == Some(0) || self.max_pixels == Some(0)
        {
            bail!(Usage(
                "--train-per-class, --workers and --max-pixels must be at least 1".to_owned()
            ));
        }
        let fold = match (self.folds, self.fold) {
            (Some(of), Some(index)) if of < 2 || !(1..=of).contains(&index) => {
                bail!(Usage(format!(
                    "--fold {index} of --folds {of}: there must be 2 or more, and they count from 1"
                )));
            }
            (Some(of), Some(index)) => Some(Fold { index, of }),
            _ => None,
        };
        if self.data.to_str().is_none() {
            bail!(Usage(format!(
                "the path {} is not UTF-8; rename the folder",
                self.data.display()
            )));
        }
        if let Some(limit) = self.cache_limit.filter(|limit| !(0.0..1e9).contains(limit)) {
            bail!(Usage(format!(
                "--cache-limit is {limit}, but must be at least 0 and below 1e9 (GiB)"
            )));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
        let bytes = |gib: f64| (gib * f64::from(1 << 30)) as u64;
        let folder = weights::cache_folder().map(|folder| folder.join("images"));
        let pipeline = Pipeline {
            cache: self.cache.into(),
            limit: self.cache_limit.map(bytes),
            workers: self.workers,
            on_bad_image: self.on_bad_image.into(),
            ..Pipeline::default()
        };
        Ok(DataConfig {
            fold,
            sampling: self.sampling.into(),
            max_pixels: self.max_pixels,
            pipeline: Pipeline {
                folder: folder.unwrap_or(pipeline.folder),
                ..pipeline
            },
            train_per_class: self.train_per_class,
            valid_fraction: self.valid_fraction,
            ..DataConfig::new(self.data.clone(), image_size)
        })
    }
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
        named(&self.path).is_some()
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
        let mut splits = match named(&self.path) {
            Some(set) => set.open(&options)?,
            None => open(&self.path, &options)?,
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
        let fitted = |set: &ImageSet| set.prepare(preprocess, StoredSize::Fitted, &self.pipeline);
        let size = augment.stored_size();
        let mut train = splits.train.prepare(preprocess, size, &self.pipeline)?;
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
    pub fn skipped(&self) -> Vec<UnusableImage> {
        self.parts().flat_map(|part| part.skipped.clone()).collect()
    }

    /// Says on stderr which images were left out and where the others are kept.
    pub fn tell(&self) {
        const SHOWN: usize = 10;
        let skipped = self.skipped();
        for broken in skipped.iter().take(SHOWN) {
            note(&format!("left out: {}", broken.reason));
        }
        if skipped.len() > SHOWN {
            let more = skipped.len() - SHOWN;
            note(&format!("left out: {more} more; the report lists them all"));
        }
        let mut notes: Vec<&String> = self.parts().filter_map(|part| part.note.as_ref()).collect();
        notes.dedup();
        for text in notes {
            note(text);
        }
    }
}
