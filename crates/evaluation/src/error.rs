//! Errors of metrics and reports.

use std::path::PathBuf;

/// An error of a metric, a report or a picture. Its text names the value or file that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A class index is not below the number of classes.
    #[error("class {class} does not exist: there are {classes} classes")]
    Class {
        /// The index.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The number of labels differs from the number of predictions.
    #[error("there are {truth} labels but {predicted} predictions")]
    Lengths {
        /// Number of labels.
        truth: usize,
        /// Number of predictions.
        predicted: usize,
    },
    /// The probabilities of an image are not those of its classes.
    #[error("the probabilities of image {image} are not valid: {reason}")]
    Probabilities {
        /// Index of the image.
        image: usize,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Models that are compared were not tested on the same number of images.
    #[error("there are outcomes of {found} test images where {expected} were expected")]
    Outcomes {
        /// Number of test images of the first seed or method.
        expected: usize,
        /// Number of test images of another one.
        found: usize,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is not a report.
    #[error("{} is not a report: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A report has a version that this crate does not read.
    #[error("{} is a report of version {version}; this program reads version {supported}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The version that this crate reads.
        supported: u32,
    },
    /// A picture could not be drawn.
    #[error("cannot draw the picture: {0}")]
    Plot(String),
}
