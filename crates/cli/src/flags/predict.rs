//! Flags of `predict`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use finetune::folder::Views;

use super::shared::{Printed, Selection};

/// `finetune predict`.
#[derive(Debug, Clone, Args)]
pub struct PredictArgs {
    /// Folder of a run or comparison; several --run are an ensemble
    ///
    /// The probability of a class is the mean of those that the runs give it. They must have the same
    /// classes, which are matched by name.
    #[arg(long = "run", value_name = "DIR", required = true)]
    pub runs: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    /// Base weights of the run, if their file was moved
    ///
    /// It must be the same file: it is recognised by its SHA-256.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
    /// Image files, folders, "patterns", manifests, or - for a list on stdin
    ///
    /// A folder is searched with the folders below it. A pattern (*, ?, [a-z], ** for any folders) is
    /// expanded if the shell does not do it. Of a manifest (.csv, .tsv, .jsonl, .ndjson), the column of
    /// paths is used. What cannot be read is reported, the others are classified, and the exit code is 1.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// A zero byte follows each path of the list on stdin (`find -print0`)
    #[arg(short = '0', long)]
    pub null: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shown: Shown,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub computed: ComputedArgs,
}

/// What `predict` prints and writes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct Shown {
    /// Number of most probable classes to show per image
    #[arg(long, value_name = "K", default_value = "1")]
    pub top_k: NonZeroUsize,
    /// Form of what is printed [default: table on a terminal, else text]
    #[arg(long, value_enum, conflicts_with = "json")]
    pub format: Option<PredictFormat>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: Printed,
    /// Write the features before the head to this file (safetensors)
    ///
    /// It has the tensor `features` with a row for each image that could be read, and in its metadata
    /// under `paths` a JSON list of their paths.
    #[arg(long, value_name = "FILE")]
    pub save_features: Option<PathBuf>,
}

/// How `predict` computes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Computation")]
pub struct ComputedArgs {
    /// Test-time augmentation: mean of the probabilities of several views
    #[arg(long, value_enum, value_name = "VIEWS", default_value = "none")]
    pub tta: Tta,
    /// Batch size
    #[arg(long, value_name = "N", default_value = "32")]
    pub batch_size: NonZeroUsize,
    /// Threads that decode images [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
}

/// The form of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    /// Aligned columns
    Table,
    /// A line per image: `path: class (99.1 %)`
    Text,
    /// Comma-separated values with a line of names
    Csv,
    /// A JSON document per line and image
    Jsonl,
    /// One JSON document, as with --json
    Json,
}

/// Test-time augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tta {
    /// The image as it is
    None,
    /// The image and its mirror image
    Flip,
}

impl Tta {
    /// The views that it stands for.
    #[must_use]
    pub fn views(self) -> Views {
        match self {
            Self::None => Views::One,
            Self::Flip => Views::Flip,
        }
    }
}
