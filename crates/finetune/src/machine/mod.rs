//! The machine: [`device`]s, [`memory`], [`precision`], [`rates`], [`threads`], the [`cache`] folders and what
//! is [`kept`] in them; and its [`health`].

pub mod cache;
pub mod device;
pub mod health;
pub mod kept;
pub mod memory;
pub mod precision;
pub mod rates;
pub mod threads;

pub use finetune_kernels::machine::{instruction_set, limit};
pub use finetune_kernels::precision::unit_name as bf16_unit;
