//! Which images, and `finetune data`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use finetune::config::DataConfig;
use finetune::machine::cache::cache_folder;
use finetune_data::{Cache, Fold, OnBadImage, Pipeline, Sampling};

use super::arg_enum;
use crate::terminal::exit::Usage;

/// Which images are learnt from, how many, and of what size.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// Folder with `train` and `test` (or one folder a class); a .csv or .jsonl manifest; Parquet or
    /// IDX files; or `embedded`, `fashion-mnist`
    #[arg(long, value_name = "PATH", default_value = "embedded")]
    pub data: PathBuf,
    /// Side of the images, pixels [default: the model's own]
    #[arg(long)]
    pub image_size: Option<usize>,
    /// Take this many training images of each class
    #[arg(long, value_name = "N")]
    pub train_per_class: Option<usize>,
    /// Hold this share of the training images out for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub valid_fraction: f64,
    /// Deal the images into this many folds, each class evenly, and hold one out: to be tested with,
    /// or for validation where there is a test part
    #[arg(
        long,
        value_name = "K",
        requires = "fold",
        conflicts_with = "valid_fraction"
    )]
    pub folds: Option<usize>,
    /// Which fold, from 1
    #[arg(long, value_name = "I", requires = "folds")]
    pub fold: Option<usize>,
    /// How the images of an epoch are chosen
    #[arg(long, value_enum, default_value_t = SamplingArg::Shuffled)]
    pub sampling: SamplingArg,
    /// What happens with images that cannot be read
    #[arg(long, value_enum, default_value_t = OnBadImageArg::Fail)]
    pub on_bad_image: OnBadImageArg,
    /// Images with more pixels cannot be read [default: 100 million]
    #[arg(long, value_name = "N")]
    pub max_pixels: Option<u64>,
    /// Where decoded images are kept; it changes speed and memory, no result
    #[arg(long, value_enum, default_value_t = CacheArg::Auto)]
    pub cache: CacheArg,
    /// What the files of decoded images in the cache folder may take together; what was used longest
    /// ago is removed, nothing that is in use [default: 20]
    #[arg(long, value_name = "GIB")]
    pub cache_limit: Option<f64>,
    /// Threads that decode and change images [default: as many as compute]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
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
        let folder = cache_folder().map(|folder| folder.join("images"));
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

arg_enum!(
    /// How the images of an epoch are chosen.
    SamplingArg => Sampling { Shuffled, Balanced }
);
arg_enum!(
    /// What happens with images that cannot be read.
    OnBadImageArg => OnBadImage { Fail, Skip }
);
arg_enum!(
    /// Where decoded images are kept.
    CacheArg => Cache { Auto, Memory, Disk, None }
);

/// `finetune data`.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub command: DataCommand,
}

/// What to do with a data set.
#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    /// Look for broken images, duplicates (also across training and test), few images and small ones,
    /// links and files that are left out; exit code 1 where results would be wrong
    Check(CheckArgs),
}

/// `finetune data check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Folder with `train` and `test` (or one folder a class); a .csv or .jsonl manifest; Parquet or
    /// IDX files; or `embedded`, `fashion-mnist`
    #[arg(value_name = "PATH")]
    pub data: PathBuf,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}
