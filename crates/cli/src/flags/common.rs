//! What `train` and `compare` share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use finetune::config::Format;

use super::adapter::AdapterArgs;
use super::data::ImageArgs;
use super::recipe::RecipeArgs;
use crate::terminal::progress::Ui;

/// What `train` and `compare` share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// What it learns from
    #[command(flatten)]
    pub images: ImageArgs,
    /// Model (`inspect` lists them)
    #[arg(long)]
    pub model: Option<String>,
    /// Pretrained weights: a safetensors or PyTorch file, or `hf:OWNER/NAME[@REVISION][/FILE]`; the
    /// model is recognised from it [default: shipped with the default model]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
    /// SHA-256 that the weights' file must have
    #[arg(long, value_name = "HEX")]
    pub weights_sha256: Option<String>,
    /// Folder for the results [default: runs/TIME-COMMAND]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Settings from a TOML or JSON file, which what is typed goes before; or the config.json of a
    /// finished run, to do it again
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub config: Option<PathBuf>,
    /// Go on with a run or comparison that was broken off, with its own settings; others are refused,
    /// but for what changes no result: --ui, --json, --threads, --workers, --cache, --cache-limit,
    /// --feature-cache, --checkpoint-seconds, --keep-checkpoints
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Least time between two checkpoints of a run, made after whole epochs
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub checkpoint_seconds: u64,
    /// Keep the last N epochs' checkpoints, and that of the epoch with the best validation accuracy
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub keep_checkpoints: usize,
    /// flex (cpu), ndarray or wgpu (gpu)
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads that compute [default: one a core]
    #[arg(long)]
    pub threads: Option<usize>,
    /// How it is trained
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Seed of all that is random; the first one of a comparison
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Settings of the adapters
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// Write the finished models as PyTorch files as well
    #[arg(long, value_enum, default_value_t = FormatArg::Safetensors)]
    pub format: FormatArg,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
    /// How progress is shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    pub ui: Option<Ui>,
}

/// Kind of a weights file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// safetensors
    Safetensors,
    /// PyTorch's own, a state dict for `torch.load(weights_only=True)`
    Pth,
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Safetensors => Self::Safetensors,
            FormatArg::Pth => Self::Pth,
        }
    }
}
