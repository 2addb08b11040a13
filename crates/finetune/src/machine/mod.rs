//! The machine: [`device`]s, [`memory`], [`threads`] and the [`cache`] folder.

pub mod cache;
pub mod device;
pub mod memory;
pub mod threads;
