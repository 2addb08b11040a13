//! Metrics of classifiers, and the comparison of their runs.
//!
//! - [`Confusion`]: accuracy, macro-F1 and per-class accuracy.
//! - [`Report`]: `report.json`, all runs of a command; [`summarize`] puts seeds together.
//! - [`table`], [`markdown`], [`finding`], [`left_out`], [`html`], [`picture`]: the same numbers for people.
//!
//! ```
//! use finetune_evaluation::Confusion;
//!
//! let confusion = Confusion::from_predictions(2, &[0, 0, 1, 1], &[0, 1, 1, 1])?;
//! assert_eq!(confusion.accuracy(), 0.75);
//! assert_eq!(confusion.per_class_accuracy(), [0.5, 1.0]);
//! # Ok::<(), finetune_evaluation::EvaluationError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod files;
pub mod metrics;
pub mod pictures;
pub mod report;
pub mod statistics;

pub use error::EvaluationError;
pub use files::write_atomically;
pub use metrics::Confusion;
pub use pictures::{picture, sweep};
pub use report::{
    DatasetInfo, Epoch, Failure, RangeTest, Report, Run, SkippedImage, VERSION, bytes, finding,
    html, left_out, markdown, seconds, table,
};
pub use statistics::{Spread, Summary, median, summarize, wilson};
