//! The machine: [`device`]s, [`memory`], [`threads`] and the [`cache`] folder.

pub mod cache;
pub mod device;
pub mod memory;
pub mod threads;

pub use finetune_kernels::machine::instruction_set;
