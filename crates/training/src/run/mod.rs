//! One run: the training loop, its state, its checkpoints and who watches it.

pub(crate) mod best;
pub(crate) mod checkpoint;
pub(crate) mod dashboard;
pub(crate) mod exact;
pub(crate) mod observer;
pub(crate) mod range_test;
pub(crate) mod state;
pub(crate) mod sums;
pub(crate) mod train;
