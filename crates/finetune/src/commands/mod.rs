//! One function a command.

mod compare;
mod evaluate;
mod inspect;
mod merge;
mod predict;
mod pretrain;

pub use compare::{compare, run_one, train};
pub use evaluate::evaluate;
pub use inspect::inspect;
pub use merge::merge;
pub use predict::predict;
pub use pretrain::pretrain;
