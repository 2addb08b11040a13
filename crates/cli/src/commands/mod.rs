//! One function a command.

mod compare;
mod data;
mod evaluate;
mod export;
mod inspect;
mod predict;
mod pretrain;

pub use compare::{compare, run_one, train};
pub use data::data;
pub use evaluate::evaluate;
pub use export::{export, merge};
pub use inspect::inspect;
pub use predict::predict;
pub use pretrain::pretrain;
