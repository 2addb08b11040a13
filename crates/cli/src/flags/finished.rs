//! Flags of the commands that use finished runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::{Printed, SelectedRun, Selection};

/// `finetune evaluate`.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub of: SelectedRun,
    /// Test images [default: those of the run]
    ///
    /// Their classes are matched by name with those of the model; they may be fewer.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Evaluate the merged model instead of the base weights with the adapter
    #[arg(long, conflicts_with = "epoch")]
    pub merged: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
}

/// `finetune merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Folder of a run or comparison
    #[arg(long, value_name = "DIR", required_unless_present = "adapter")]
    pub run: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub adapter: AdapterArgs,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace --out if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// An adapter that HF PEFT saved.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Adapter of HF PEFT")]
pub struct AdapterArgs {
    /// Folder with adapter_config.json and adapter_model.safetensors, instead of --run
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "method", "epoch"], requires = "weights")]
    pub adapter: Option<PathBuf>,
    /// Weights that the adapter was trained on; with --run, the run's base weights if they were moved
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
    /// Model of these weights [default: recognised]
    #[arg(long, value_name = "NAME", requires = "adapter")]
    pub model: Option<String>,
    /// Names of the classes, in the order of the logits [default: 0,1,...]
    #[arg(
        long,
        value_name = "NAME,...",
        requires = "adapter",
        value_delimiter = ','
    )]
    pub classes: Vec<String>,
}

/// `finetune export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub of: SelectedRun,
    /// Format to write [default: by the ending of --out]
    ///
    /// `pth` for .pth, .pt, .bin and .ckpt, `onnx` for .onnx, and `safetensors` for all others.
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// ONNX: take pixel values 0 to 255 and normalise them in the graph
    #[arg(long)]
    pub onnx_normalize: bool,
    /// Name the tensors as torchvision or timm does [default: torchvision if it has the model]
    #[arg(long, value_name = "LIBRARY")]
    pub names: Option<String>,
    /// File to write; a folder for --format peft
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// Replace --out if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The merged model as safetensors
    Safetensors,
    /// The merged model as a state dict for torch.load(weights_only=True)
    Pth,
    /// The adapter and the head for HF PEFT: a folder for PeftModel.from_pretrained
    Peft,
    /// The merged model as an ONNX graph for batches of any size
    Onnx,
}
