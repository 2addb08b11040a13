//! Pictures of a report, as SVG: bars and dots that compare methods, accuracy over costs, curves over
//! epochs, confusion matrices, and the curve of a learning rate range test.

pub(crate) mod bars;
pub(crate) mod charts;
pub(crate) mod confusion;
pub(crate) mod forest;
mod labels;
mod lines;
pub(crate) mod looks;
pub(crate) mod pareto;
pub(crate) mod picture;
mod plots;
mod scale;
pub(crate) mod sweep;

pub use charts::picture;
pub use picture::Picture;
pub use sweep::sweep;
