//! The report of a comparison: `report.json`, and the same numbers as HTML, Markdown, a table for
//! a terminal and sentences.

mod augmented;
mod beside;
mod beside_scratch;
mod charts;
mod costs;
mod details;
mod differences;
mod embedded;
mod few;
pub(crate) mod html;
pub(crate) mod json;
mod matrix;
mod measured;
mod mistakes;
mod page;
mod prefer;
mod read;
mod recommendation;
pub(crate) mod run;
mod sentences;
pub(crate) mod side_by_side;
mod skipped;
mod table;

pub use charts::{CHARTS, charts};
pub use details::{AugmentedImage, Mistake, Scores, Tried};
pub use few::fewer_images;
pub use html::html;
pub use json::{DatasetInfo, Few, Report, SkippedImage, VERSION};
pub use matrix::confusion_chart;
pub use measured::measured;
pub use page::page;
pub use prefer::Prefer;
pub use recommendation::recommendation;
pub use run::{Epoch, Failure, RangeTest, Run, outcomes};
pub use sentences::finding;
pub use side_by_side::SideBySide;
pub use skipped::left_out;
pub use table::{markdown, table, table_within};
