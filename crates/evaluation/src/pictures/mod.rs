//! Pictures of a report, as SVG: bars and dots that compare methods, curves over epochs, and the
//! curve of a learning rate range test.

pub(crate) mod bars;
pub(crate) mod charts;
mod lines;
pub(crate) mod looks;
mod plots;
pub(crate) mod sweep;

pub use charts::picture;
pub use sweep::sweep;
