//! What can be typed. `resolve` turns it into what it means.

mod adapter;
mod augment;
mod common;
mod data;
mod finished;
mod recipe;
mod train;

pub mod file;
mod resolve;
pub mod resume;
mod settings;

pub use adapter::{AdapterArgs, BudgetArg, RegrowArg, StatisticsArg, Switch};
pub use augment::{AugmentArg, AugmentArgs};
pub use common::{Common, FormatArg};
pub use data::{CacheArg, CheckArgs, DataArgs, DataCommand, ImageArgs, OnBadImageArg, SamplingArg};
pub use finished::{EvaluateArgs, ExportArgs, ExportFormat, MergeArgs, PredictArgs};
pub use recipe::{
    ClassWeightsArg, KeepArg, LrArg, OptimizerArg, Preset, RecipeArg, RecipeArgs, ScheduleArg,
};
pub use train::{CompareArgs, InspectArgs, PretrainArgs, RunArgs, TrainArgs};

use clap::{Parser, Subcommand};

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

/// An argument for each variant of an enum of a library.
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
use arg_enum;
