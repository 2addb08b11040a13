//! The folder of a run or comparison: the names of its files ([`RunFolder`]), its plan ([`Plan`]) and
//! its finished runs ([`FinishedRun`], [`predict`], [`export`]).

mod export;
mod finished;
mod names;
mod path;
mod plan;
mod predict;
mod report;

pub use export::{ExportFormat, Written, export};
pub use finished::FinishedRun;
pub use names::RunFolder;
pub use path::{absolute, pinned};
pub use plan::Plan;
pub use predict::{Prediction, predict};
pub use report::write_report;
