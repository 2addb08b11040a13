//! Statistics of comparisons: runs of one method summarised over their seeds.

pub(crate) mod summary;

pub use summary::{Spread, Summary, median, summarize, wilson};
