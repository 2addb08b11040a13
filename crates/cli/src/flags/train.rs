//! The commands that train, and `inspect`, which shows what they would.

use std::path::PathBuf;

use clap::Args;
use finetune::config::defaults;

use super::common::Common;
use crate::terminal::progress::Ui;

/// `finetune compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Methods, separated by commas (`inspect` lists them)
    #[arg(long, value_delimiter = ',', default_values = defaults::METHODS)]
    pub methods: Vec<String>,
    /// Repetitions of each method
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seeds: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// `finetune train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// Method (`inspect` lists them)
    #[arg(long, default_value = "sft")]
    pub method: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// `finetune inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// Method
    #[arg(long, default_value = "lora")]
    pub method: String,
    /// Number of classes
    #[arg(long, default_value_t = 5)]
    pub classes: usize,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// `finetune pretrain`.
#[derive(Debug, Clone, Args)]
pub struct PretrainArgs {
    /// Model
    #[arg(long, default_value = defaults::MODEL)]
    pub model: String,
    /// Folder; or `embedded` (hands showing 5–9), `fashion-mnist` (its easier half)
    #[arg(long, value_name = "DIR", default_value = "embedded")]
    pub data: PathBuf,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Passes over the images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images a step
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Learning rate
    #[arg(long)]
    pub lr: Option<f64>,
    /// Seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// flex (cpu), ndarray or wgpu (gpu)
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// How progress is shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    pub ui: Option<Ui>,
}

/// One run of a comparison, in a process of its own.
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
    /// Name on the progress bar
    #[arg(long)]
    pub title: String,
    /// Whether file names carry the seed
    #[arg(long)]
    pub with_seed: bool,
    /// When the command began, microseconds since 1970
    #[arg(long)]
    pub started: Option<u64>,
    /// How progress is shown
    #[arg(long, value_enum)]
    pub ui: Ui,
}
