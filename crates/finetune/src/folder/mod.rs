//! The folder of a run or comparison: the names of its files ([`RunFolder`]), its plan ([`Plan`]) and
//! its finished runs ([`FinishedRun`]).

mod finished;
mod names;
mod path;
mod plan;
mod report;

pub use finished::FinishedRun;
pub use names::RunFolder;
pub use path::{absolute, pinned};
pub use plan::Plan;
pub use report::write_report;
