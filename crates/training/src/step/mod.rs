//! One optimiser step: forward and backward pass, loss, update of the weights.

pub(crate) mod ema;
pub(crate) mod groups;
pub(crate) mod importance;
pub(crate) mod levels;
pub(crate) mod loss;
pub(crate) mod optimizer;
pub(crate) mod pass;
pub(crate) mod segments;
pub(crate) mod thaw;
