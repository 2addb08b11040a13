//! One function per command.

mod asked;
mod cache;
mod claims;
mod data;
mod doctor;
mod evaluate;
mod export;
mod init;
mod inspect;
mod jobs;
mod launcher;
mod models;
mod pages;
mod predict;
mod predictions;
mod pretrain;
mod run;
mod runs;
mod selected;
mod target;
mod train;

pub use cache::cache;
pub use data::data;
pub use doctor::doctor;
pub use evaluate::evaluate;
pub use export::{export, merge};
pub use init::init;
pub use inspect::inspect;
pub use models::models;
pub use pages::{completions, man};
pub use predict::predict;
pub use pretrain::pretrain;
pub use run::run_one;
pub use runs::{report, runs};
pub use train::{compare, train};
