//! What can go wrong with metrics and reports.

use std::path::PathBuf;

/// Errors of this crate. Each names the thing that is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A class index is not below the number of classes, or the lists differ in length.
    #[error("class {class} does not exist: there are {classes} classes")]
    Class {
        /// The index.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Truth and predictions differ in length.
    #[error("{truth} labels do not go with {predicted} predictions")]
    Lengths {
        /// Number of labels.
        truth: usize,
        /// Number of predictions.
        predicted: usize,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is no report.
    #[error("{} is not a report: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A report of another version.
    #[error("{} is a report of version {version}; this program reads version {}", path.display(), crate::report::json::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A plot could not be drawn.
    #[error("cannot draw the plot: {0}")]
    Plot(String),
}
