//! The report of a comparison: `report.json`, and the same numbers for people.

pub(crate) mod html;
pub(crate) mod json;
mod matrix;
pub(crate) mod sentences;
pub(crate) mod skipped;
pub(crate) mod table;

pub use html::html;
pub use json::{DatasetInfo, Epoch, Failure, RangeTest, Report, Run, SkippedImage, VERSION};
pub use sentences::finding;
pub use skipped::left_out;
pub use table::{bytes, markdown, seconds, table};
