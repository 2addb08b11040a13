//! What can be typed, and what it means.
//!
//! The flags of `compare`, `train` and `inspect` are a table: each one is an expression that says
//! how it is typed, what help shows, what it changes in a run, and what `--resume` does with it.
//! [`Typed`] turns typed flags into runs. A new flag is a new row of the table; it is then known to
//! help, to files of settings ([`file`](mod@file)) and to `--resume`.
//!
//! The flags of the other commands are clap's derived structs.

mod arguments;
mod base;
mod define;
pub mod file;
mod finished;
mod others;
mod predict;
mod process;
mod resume;
mod setup;
mod shared;
mod table;
mod task;
mod typed;

pub use arguments::{CompareFlags, InspectFlags, TrainFlags};
pub use base::{Base, Preset, StartingRecipe};
pub use finished::{AdapterArgs, EvaluateArgs, ExportArgs, ExportFormat, MergeArgs};
pub use others::{
    CheckArgs, DataArgs, DataCommand, ModelsArgs, PretrainArgs, ReportArgs, RunArgs, RunsArgs,
};
pub use predict::{ComputedArgs, PredictArgs, PredictFormat, Shown, Tta};
pub use process::{Few, Process};
pub use setup::{
    CacheArgs, CacheCommand, CleanArgs, CompletionsArgs, DoctorArgs, InitArgs, ManArgs,
};
pub use shared::{Printed, Said, SelectedRun, Selection};
pub use task::Task;
pub use typed::Typed;

#[cfg(test)]
mod tests;

use clap::{Parser, Subcommand};

/// Fine-tune pretrained vision models on your own images, and compare methods.
#[derive(Debug, Parser)]
#[command(name = "finetune", version, propagate_version = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub said: Said,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fine-tune with several methods and compare them
    ///
    /// Each run has a process of its own, so that its peak memory is its own.
    Compare(CompareFlags),
    /// Fine-tune with one method
    Train(TrainFlags),
    /// Load a finished run from its files and test it again
    Evaluate(EvaluateArgs),
    /// Classify images
    Predict(PredictArgs),
    /// Merge an adapter of a run, or of HF PEFT, into the weights
    Merge(MergeArgs),
    /// Write a model for PyTorch (safetensors or .pth), or its adapter for HF PEFT
    Export(ExportArgs),
    /// Show models, methods, and which parameters a method would train
    Inspect(InspectFlags),
    /// List the models, their size, and where their weights come from
    Models(ModelsArgs),
    /// Check a data set before training
    Data(DataArgs),
    /// List finished runs
    Runs(RunsArgs),
    /// Show the results of finished runs again, side by side if there are several
    Report(ReportArgs),
    /// Train a model from random weights, to fine-tune it later
    Pretrain(PretrainArgs),
    /// Write a file of settings that suit an image folder, with reasons
    ///
    /// `train --config` and `compare --config` read it.
    Init(InitArgs),
    /// Say what this machine offers, and what is wrong with it
    ///
    /// The exit code is 1 if commands would fail because of it.
    Doctor(DoctorArgs),
    /// List and remove decoded images and weights that are kept
    Cache(CacheArgs),
    /// Print a script with which a shell completes commands and flags
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(ManArgs),
    /// One run of a comparison
    #[command(hide = true)]
    Run(RunArgs),
}
