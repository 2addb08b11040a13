//! Attaching a method to a model.

mod adapted;
#[allow(clippy::module_inception)]
mod attach;
mod maker;
mod scope;

pub use adapted::{Adapted, Faster, Parts};
pub(crate) use attach::{attach_adapters, head_ids};
pub(crate) use maker::{Made, Maker};
pub use scope::Scope;
