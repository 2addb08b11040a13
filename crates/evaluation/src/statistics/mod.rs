//! Statistics of comparisons: runs of one method summarised over their seeds, and the uncertainty
//! of what was measured.

mod spread;
pub(crate) mod summary;
mod wilson;

pub use spread::{Spread, median};
pub use summary::{Summary, summarize};
pub use wilson::wilson;
