//! Which images, and `finetune data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use finetune_data::{Cache, OnBadImage, Sampling};

use super::arg_enum;

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
