//! Which images, and `finetune data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which images are learnt from, how many, and of what size.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// Folder with `train` and `test` (or one folder a class); or `embedded`, `fashion-mnist`
    #[arg(long, value_name = "DIR", default_value = "embedded")]
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
}

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
    /// Look for broken images, duplicates (also across training and test), few images and small ones;
    /// exit code 1 where results would be wrong
    Check(CheckArgs),
}

/// `finetune data check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Folder with `train` and `test` (or one folder a class); or `embedded`, `fashion-mnist`
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}
