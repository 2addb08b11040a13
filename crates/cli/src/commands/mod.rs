//! One function per command.

mod asked;
mod claims;
mod data;
mod evaluate;
mod export;
mod inspect;
mod jobs;
mod launcher;
mod models;
mod predict;
mod predictions;
mod pretrain;
mod run;
mod runs;
mod selected;
mod train;

pub use data::data;
pub use evaluate::evaluate;
pub use export::{export, merge};
pub use inspect::inspect;
pub use models::models;
pub use predict::predict;
pub use pretrain::pretrain;
pub use run::run_one;
pub use runs::{report, runs};
pub use train::{compare, train};
