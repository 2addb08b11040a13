//! Flags of several commands that are not in the table.

use std::path::PathBuf;

use clap::Args;

use crate::terminal::verbosity::Verbosity;

/// Which of the runs of a folder, and in which state.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Run to use if the folder holds several: METHOD, or METHOD_seedN
    #[arg(long)]
    pub method: Option<String>,
    /// Use the checkpoint of epoch E, from 1, instead of the finished run
    ///
    /// Needs a run with --keep-checkpoints, which may be unfinished.
    #[arg(long, value_name = "E")]
    pub epoch: Option<usize>,
}

/// A run in a folder.
#[derive(Debug, Clone, Args)]
pub struct SelectedRun {
    /// Folder of a run or comparison
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub selection: Selection,
    /// Base weights of the run, if their file was moved
    ///
    /// It must be the same file: it is recognised by its SHA-256.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
}

/// The form of what is printed.
#[derive(Debug, Clone, Args)]
pub struct Printed {
    /// Print one JSON document to stdout
    #[arg(long)]
    pub json: bool,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Messages")]
pub struct Said {
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say how things are done as well
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

impl Said {
    /// The names of these flags as they are typed.
    pub(super) const TYPED: [&str; 4] = ["-q", "--quiet", "-v", "--verbose"];

    /// What they choose.
    #[must_use]
    pub fn verbosity(self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}
