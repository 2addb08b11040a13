//! The machine: devices, memory, folders for caches.

pub mod cache;
pub mod device;
pub mod memory;
