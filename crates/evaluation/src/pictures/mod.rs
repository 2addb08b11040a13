//! Pictures of a report, as SVG.

pub(crate) mod bars;
pub(crate) mod charts;
mod lines;
pub(crate) mod looks;
mod plots;
pub(crate) mod sweep;

pub use charts::picture;
pub use sweep::sweep;
