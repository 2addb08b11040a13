//! The commands that work on finished runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `finetune evaluate`.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// Folder of a finished run or comparison
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Method, where the folder holds several [default: all]
    #[arg(long)]
    pub method: Option<String>,
    /// The checkpoint of this epoch, from 1, instead of what the run gave in the end; see
    /// --keep-checkpoints
    #[arg(long, value_name = "E")]
    pub epoch: Option<usize>,
    /// Images to test with [default: the run's own test images]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Test the merged models instead of base weights and adapters
    #[arg(long, conflicts_with = "epoch")]
    pub merged: bool,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `finetune predict`.
#[derive(Debug, Clone, Args)]
pub struct PredictArgs {
    /// Folder of a finished run
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Method, where the folder holds several
    #[arg(long)]
    pub method: Option<String>,
    /// The checkpoint of this epoch, from 1, instead of what the run gave in the end; see
    /// --keep-checkpoints
    #[arg(long, value_name = "E")]
    pub epoch: Option<usize>,
    /// Images
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `finetune merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Folder of a finished run
    #[arg(long, value_name = "DIR", required_unless_present = "adapter")]
    pub run: Option<PathBuf>,
    /// Method, where the folder holds several
    #[arg(long)]
    pub method: Option<String>,
    /// The checkpoint of this epoch, from 1, instead of what the run gave in the end; see
    /// --keep-checkpoints
    #[arg(long, value_name = "E")]
    pub epoch: Option<usize>,
    /// Instead of a run: folder of an adapter of HF PEFT (adapter_config.json and
    /// adapter_model.safetensors)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "method", "epoch"], requires = "weights")]
    pub adapter: Option<PathBuf>,
    /// The weights that the PEFT adapter was trained on
    #[arg(long, value_name = "FILE", requires = "adapter")]
    pub weights: Option<String>,
    /// Their model [default: recognised]
    #[arg(long, requires = "adapter")]
    pub model: Option<String>,
    /// Names of the classes, separated by commas, in the order of the logits [default: 0, 1, …]
    #[arg(long, requires = "adapter", value_delimiter = ',')]
    pub classes: Vec<String>,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `finetune export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Folder of a finished run
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Method, where the folder holds several
    #[arg(long)]
    pub method: Option<String>,
    /// The checkpoint of this epoch, from 1, instead of what the run gave in the end; see
    /// --keep-checkpoints
    #[arg(long, value_name = "E")]
    pub epoch: Option<usize>,
    /// Kind of file
    #[arg(long, value_enum, default_value_t = ExportFormat::Safetensors)]
    pub format: ExportFormat,
    /// Whose names the tensors get: torchvision or timm [default: torchvision where it has the model]
    #[arg(long, value_name = "LIBRARY")]
    pub names: Option<String>,
    /// File to write; a folder for peft
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The merged model as safetensors
    Safetensors,
    /// The merged model as a state dict for `torch.load(weights_only=True)`
    Pth,
    /// The adapter and the head as HF PEFT keeps them, a folder for `PeftModel.from_pretrained`
    Peft,
}
