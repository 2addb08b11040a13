//! What the frozen layers at the beginning of a network compute, cached for the whole run.

pub(crate) mod cache;
pub(crate) mod dtype;
pub(crate) mod frozen;
