//! What can be typed. `resolve` turns it into what it means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use finetune_data::Augment;
use finetune_methods::{Budget, Regrow};
use finetune_training::{Optimizer, Schedule};
use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::progress::Ui;

/// Fine-tune a pretrained vision model on your own image folder, and see which method serves you.
#[derive(Debug, Parser)]
#[command(name = "finetune", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fine-tune with several methods, each in a process of its own, and put their numbers beside
    /// each other
    Compare(CompareArgs),
    /// Fine-tune with one method
    Train(TrainArgs),
    /// Reload a finished run from its files and test it again
    Evaluate(EvaluateArgs),
    /// Say which class images show
    Predict(PredictArgs),
    /// Write a run's model, or a PEFT adapter's, with the adapter merged into the weights
    Merge(MergeArgs),
    /// Write a run's model for PyTorch (safetensors or .pth), or its adapter for HF PEFT
    Export(ExportArgs),
    /// Show what a method would train; trains nothing
    Inspect(InspectArgs),
    /// Look through a data set before anything is learnt from it
    Data(DataArgs),
    /// Train a model from random weights, to be fine-tuned later
    Pretrain(PretrainArgs),
    /// One run of a comparison
    #[command(hide = true)]
    Run(RunArgs),
}

/// What `train` and `compare` share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Folder with `train` and `test` (or one folder a class); or `embedded`, `fashion-mnist`
    #[arg(long, value_name = "DIR", default_value = "embedded")]
    pub data: PathBuf,
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
    /// Go on with a run or comparison that was broken off, with its own settings
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "data", "model", "weights"])]
    pub resume: Option<PathBuf>,
    /// Least time between two checkpoints of a run, made after whole epochs
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub checkpoint_seconds: u64,
    /// flex (cpu), ndarray or wgpu (gpu)
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads that compute [default: one a core]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images a step
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Learning rate; of all methods [default: each method's own]
    #[arg(long)]
    pub lr: Option<f64>,
    /// Optimiser
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerArg>,
    /// How the learning rate changes
    #[arg(long, value_enum)]
    pub schedule: Option<ScheduleArg>,
    /// Weight decay
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// Label smoothing
    #[arg(long)]
    pub label_smoothing: Option<f64>,
    /// Random changes of the training images
    #[arg(long, value_enum)]
    pub augment: Option<AugmentArg>,
    /// Side of the images, pixels [default: the model's own]
    #[arg(long)]
    pub image_size: Option<usize>,
    /// Take this many training images of each class
    #[arg(long, value_name = "N")]
    pub train_per_class: Option<usize>,
    /// Hold this share of the training images out for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub valid_fraction: f64,
    /// Seed of all that is random; the first one of a comparison
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Settings of a published recipe
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Settings of the adapters
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// Write the finished models as PyTorch files as well
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    pub format: Format,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
    /// How progress is shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    pub ui: Option<Ui>,
}

/// Settings of the methods that attach to layers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Adapters")]
pub struct AdapterArgs {
    /// Layers that get an adapter: a regular expression over parameter paths, ends of layers' paths
    /// with commas between them, `all`, `all-linear` or `all-conv` [default: the model's own]
    #[arg(long, value_name = "PATTERN")]
    pub targets: Option<String>,
    /// Layers that are left out: a regular expression
    #[arg(long, value_name = "PATTERN")]
    pub exclude_targets: Option<String>,
    /// Only layers in blocks of these numbers, e.g. `8,9,10,11`
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub layers_to_transform: Vec<usize>,
    /// What stands before a block's number, e.g. `blocks` [default: the first number counts]
    #[arg(long, value_name = "PATTERN", requires = "layers_to_transform")]
    pub layers_pattern: Option<String>,
    /// Layers that train whole beside the head: ends of their paths, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub modules_to_save: Vec<String>,
    /// `BatchNorm` statistics of a frozen base: as they were, or moved by the new images
    #[arg(long, value_enum, default_value_t = StatisticsArg::Freeze)]
    pub batch_norm: StatisticsArg,
    /// A setting of a method, e.g. `lora.dora=true`, `vera.rank=64`; `inspect` lists them
    #[arg(long, value_name = "METHOD.KEY=VALUE")]
    pub set: Vec<String>,
    /// Rank of lora
    #[arg(long)]
    pub lora_rank: Option<usize>,
    /// lora's change is scaled by alpha / rank
    #[arg(long)]
    pub lora_alpha: Option<f64>,
    /// Dropout on lora's input
    #[arg(long)]
    pub lora_dropout: Option<f64>,
    /// Rank of peft's projection
    #[arg(long)]
    pub peft_rank: Option<usize>,
    /// peft's change is scaled by alpha / rank
    #[arg(long)]
    pub peft_alpha: Option<f64>,
    /// Share of peft's entries that train
    #[arg(long)]
    pub peft_density: Option<f64>,
    /// One projection for all layers, or one for each
    #[arg(long, value_enum)]
    pub peft_share: Option<Switch>,
    /// Whether the projection trains as well
    #[arg(long)]
    pub peft_train_shared: bool,
    /// Whether the trained entries move
    #[arg(long, value_enum)]
    pub peft_dynamic: Option<Switch>,
    /// Share of the trained entries that the first move replaces
    #[arg(long, value_name = "SHARE")]
    pub peft_drop: Option<f64>,
    /// Steps between moves
    #[arg(long, value_name = "STEPS")]
    pub peft_interval: Option<usize>,
    /// Where entries grow back
    #[arg(long, value_enum)]
    pub peft_regrow: Option<RegrowArg>,
    /// What stays constant while entries move
    #[arg(long, value_enum)]
    pub peft_budget: Option<BudgetArg>,
}

/// What happens to a frozen base's `BatchNorm` statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatisticsArg {
    /// They stay
    Freeze,
    /// They move, and are kept with what was trained
    Adapt,
}

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

/// `finetune evaluate`.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// Folder of a finished run or comparison
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Images to test with [default: the run's own test images]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Test the merged models instead of base weights and adapters
    #[arg(long)]
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
    /// Instead of a run: folder of an adapter of HF PEFT (adapter_config.json and
    /// adapter_model.safetensors)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "method"], requires = "weights")]
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
    /// How progress is shown
    #[arg(long, value_enum)]
    pub ui: Ui,
}

/// A published recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The textbook chapter's: its network, batches of 64, Adam at 0.001, 10 epochs
    Chapter,
}

/// Kind of a weights file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// safetensors
    #[default]
    Safetensors,
    /// PyTorch's own, a state dict for `torch.load(weights_only=True)`
    Pth,
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

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Switch {
    On,
    Off,
}

macro_rules! arg_enum {
    ($(#[$meta:meta])* $name:ident => $target:ty { $($variant:ident),+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        #[allow(missing_docs)]
        pub enum $name { $($variant),+ }

        impl From<$name> for $target {
            fn from(arg: $name) -> Self {
                match arg { $($name::$variant => Self::$variant),+ }
            }
        }
    };
}

arg_enum!(
    /// An optimiser.
    OptimizerArg => Optimizer { Adam, AdamW, Sgd }
);
arg_enum!(
    /// A schedule.
    ScheduleArg => Schedule { Constant, Cosine, OneCycle }
);
arg_enum!(
    /// Where entries grow back.
    RegrowArg => Regrow { Random, Gradient }
);
arg_enum!(
    /// What stays constant.
    BudgetArg => Budget { Layer, Global }
);

/// Strength of augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentArg {
    /// None
    None,
    /// Small shifts, turns and zooms
    Light,
    /// The same with mirroring, brightness and contrast
    Full,
}

impl From<AugmentArg> for Augment {
    fn from(arg: AugmentArg) -> Self {
        let light = Self {
            shift: 4,
            rotate: 10.0,
            scale: 0.1,
            ..Self::default()
        };
        match arg {
            AugmentArg::None => Self::default(),
            AugmentArg::Light => light,
            AugmentArg::Full => Self {
                flip: true,
                brightness: 0.2,
                contrast: 0.2,
                ..light
            },
        }
    }
}
