//! Batches of images as tensors.

pub(crate) mod batch;
pub(crate) mod images;
pub(crate) mod loader;
pub(crate) mod order;
