//! Settings of the methods that attach to layers.

use clap::{Args, ValueEnum};
use finetune_methods::catalogue::{Budget, Regrow};

use super::arg_enum;

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

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Switch {
    On,
    Off,
}

arg_enum!(
    /// Where entries grow back.
    RegrowArg => Regrow { Random, Gradient }
);
arg_enum!(
    /// What stays constant.
    BudgetArg => Budget { Layer, Global }
);
