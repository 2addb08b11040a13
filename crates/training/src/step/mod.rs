//! One optimiser step: forward and backward pass, loss, clipping, and the update of the weights.

mod clip;
mod draws;
mod ema;
mod gradients;
mod groups;
mod importance;
mod levels;
mod loss;
mod optimizer;
mod pass;
mod readout;
mod segments;
mod thaw;

pub(crate) use clip::clipped;
pub(crate) use draws::Draws;
pub(crate) use ema::Ema;
pub(crate) use groups::Groups;
pub use importance::importance;
pub(crate) use loss::{CrossEntropy, Target, class_weights};
pub(crate) use optimizer::ModelOptimizer;
pub(crate) use pass::{Passes, pass};
pub(crate) use readout::{classes, probabilities, scalar};
pub(crate) use segments::Segments;
pub(crate) use thaw::Thaw;
