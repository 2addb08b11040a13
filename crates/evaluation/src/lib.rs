//! Metrics of classifiers, statistics of comparisons, and their reports.
//!
//! - [`metrics`]: accuracy, macro-F1, precision and recall from a [`Confusion`] matrix; top-k accuracy,
//!   log-loss and calibration error from [`Probabilities`].
//! - [`statistics`]: runs of one method summarised over their seeds, confidence intervals, and which
//!   methods are better than which others ([`compare`]).
//! - [`report`]: `report.json` as [`Report`], and the same numbers as HTML, Markdown, a table for
//!   a terminal and sentences.
//! - [`claims`]: common claims about the methods, judged by comparisons on several training sets.
//! - [`pictures`]: bar charts, Pareto fronts and curves as SVG.
//! - [`understood`]: what a command understood before it computed anything.
//! - [`format`](mod@format): numbers with units.
//!
//! The crate does not depend on Burn: it computes from counts and numbers alone.
//!
//! ```
//! use finetune_evaluation::{Confusion, Spread, wilson};
//!
//! let (actual, predicted) = ([0, 0, 1, 1], [0, 1, 1, 1]);
//! let confusion = Confusion::from_predictions(2, &actual, &predicted)?;
//! assert_eq!(confusion.accuracy(), 0.75);
//! assert_eq!(confusion.per_class_accuracy(), [0.5, 1.0]);
//!
//! // Mean and standard deviation over three seeds.
//! let spread = Spread::of(&[0.90, 0.92, 0.94]);
//! assert_eq!((100.0 * spread.mean).round(), 92.0);
//! // The 95 % interval of 3 correct images of 4.
//! let (low, high) = wilson(3.0, 4.0);
//! assert!(0.30 < low && high < 0.96);
//! # Ok::<(), finetune_evaluation::EvaluationError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod claims;
mod error;
mod files;
pub mod format;
pub mod metrics;
pub mod pictures;
pub mod report;
pub mod statistics;
pub mod understood;

pub use error::EvaluationError;
pub use files::write_atomically;
pub use format::{bytes, seconds};
pub use metrics::{Answer, Confusion, Probabilities};
pub use pictures::{Picture, picture, sweep};
pub use report::{
    AugmentedImage, CHARTS, DatasetInfo, Epoch, Failure, Few, Mistake, Prefer, RangeTest, Report,
    Run, Scores, SideBySide, SkippedImage, Tried, VERSION, charts, confusion_chart, fewer_images,
    finding, html, left_out, markdown, measured, outcomes, page, recommendation, table,
    table_within,
};
pub use statistics::{
    Difference, LEVEL, MIN_SEEDS, Outcomes, Pair, Reason, Spread, Summary, Verdict, compare, holm,
    mcnemar, median, pareto_front, sign_flip, summarize, summarize_runs, wilson,
};
