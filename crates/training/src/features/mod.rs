//! Features that the frozen layers at the beginning of a network compute, cached for the whole run.

mod cache;
mod dtype;
mod frozen;
mod input;
mod room;

pub(crate) use cache::batches;
pub use frozen::CachedFeatures;
pub(crate) use frozen::FrozenFeatures;
pub(crate) use input::{Input, Start, image_batches};
