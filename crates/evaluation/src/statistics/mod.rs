//! Statistics of comparisons: runs of one method summarised over their seeds, the uncertainty of what
//! was measured, and which methods are better than which others.

mod difference;
mod distributions;
mod exact;
mod front;
mod more;
mod outcomes;
mod pairs;
mod spread;
pub(crate) mod summary;
mod variance;
mod verdict;
mod wilson;

pub use difference::Difference;
pub use exact::{holm, mcnemar, sign_flip};
pub use front::pareto_front;
pub use outcomes::Outcomes;
pub use pairs::{Pair, compare};
pub use spread::{Spread, median};
pub use summary::{Summary, summarize, summarize_runs};
pub use verdict::{LEVEL, MIN_SEEDS, Reason, Verdict};
pub use wilson::wilson;
