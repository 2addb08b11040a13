//! Flags of `data`, `models`, `pretrain` and `run`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use finetune::config::defaults;
use finetune::evaluation::Prefer;

use super::shared::Printed;
use crate::terminal::progress::Ui;

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
    /// Find unreadable images, duplicates, leaks from training to test, and small classes
    ///
    /// Lists links and files that are left out as well. The exit code is 1 if results on this data
    /// set would be wrong.
    Check(CheckArgs),
}

/// `finetune data check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Data set, as for `train --data`
    #[arg(value_name = "PATH")]
    pub data: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// `finetune models`.
#[derive(Debug, Clone, Args)]
pub struct ModelsArgs {
    /// Name of a model, or a part of names [default: all models]
    #[arg(value_name = "NAME")]
    pub pattern: Option<String>,
    /// Batch size that memory and time are estimated for
    #[arg(long, value_name = "N", default_value = "32")]
    pub batch_size: NonZeroUsize,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// `finetune pretrain`.
#[derive(Debug, Clone, Args)]
pub struct PretrainArgs {
    /// Model; `finetune models` lists them
    #[arg(long, value_name = "NAME", default_value = defaults::MODEL)]
    pub model: String,
    #[arg(
        long, value_name = "PATH", default_value = "embedded",
        help = finetune_data::sources::pretraining_description()
    )]
    #[allow(missing_docs)]
    pub data: PathBuf,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Passes over the training images
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Images per batch
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Peak learning rate
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Device that computes: cpu (flex), gpu (wgpu) or ndarray
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// How progress is shown [default: bar on a terminal, else plain]
    #[arg(long, value_enum)]
    pub ui: Option<Ui>,
    /// Whether another command started this one
    #[arg(long, hide = true)]
    pub part: bool,
}

/// `finetune runs`.
#[derive(Debug, Clone, Args)]
pub struct RunsArgs {
    /// Folder whose folders hold runs
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// `finetune report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Folders of runs or comparisons
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// Write a folder with page, Markdown and pictures, or only the page (*.html)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What counts besides accuracy: balance, accuracy, memory, speed or size
    ///
    /// `compare --help` explains them. [default: as when the runs were compared]
    #[arg(long, value_name = "VALUE", value_parser = prefer)]
    pub prefer: Option<Prefer>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

fn prefer(text: &str) -> Result<Prefer, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "use balance, accuracy, memory, speed or size".to_owned())
}

/// `finetune run`: one run of a comparison, in a process of its own.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The run's configuration, a JSON file
    #[arg(long)]
    pub config: PathBuf,
    /// Folder for its files
    #[arg(long)]
    pub out: PathBuf,
    /// File for its result
    #[arg(long)]
    pub result: PathBuf,
    /// Title of the progress bar
    #[arg(long)]
    pub title: String,
    /// Whether file names contain the seed
    #[arg(long)]
    pub with_seed: bool,
    /// When the command started, microseconds since 1970
    #[arg(long)]
    pub started: Option<u64>,
    /// Ends the run after so many steps
    #[arg(long)]
    pub trial: Option<usize>,
    /// Tests with the validation images
    #[arg(long)]
    pub validated: bool,
    /// Whether others are done at the same time: the command that started it draws its bar
    #[arg(long)]
    pub beside: bool,
    /// Threads that compute, if not those of the configuration
    #[arg(long)]
    pub threads: Option<usize>,
    /// File to which what is printed is added, if it exists
    #[arg(long)]
    pub log: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, value_enum)]
    pub ui: Ui,
}
