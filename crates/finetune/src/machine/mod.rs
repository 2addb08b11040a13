//! The machine: [`device`]s, [`memory`], [`precision`], [`rates`], [`threads`] and the [`cache`] folder.

pub mod cache;
pub mod device;
pub mod memory;
pub mod precision;
pub mod rates;
pub mod threads;

pub use finetune_kernels::machine::{instruction_set, limit};
pub use finetune_kernels::precision::unit_name as bf16_unit;
