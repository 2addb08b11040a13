//! Taking a model with its method apart. No other file of this crate looks into [`Attached`].

use finetune_methods::{Attached, Dynamics, Faster};

/// The parts of a model with its method.
pub(crate) struct Parts<M> {
    pub(crate) model: M,
    /// What the method does in every step.
    pub(crate) dynamics: Option<Dynamics>,
    /// Parameters with a learning rate of their own.
    pub(crate) faster: Option<Faster>,
    /// Path of the head; empty if it is unknown.
    pub(crate) head: String,
}

impl<M> Parts<M> {
    pub(crate) fn of(attached: Attached<M>) -> Self {
        let Attached {
            model,
            dynamics,
            faster,
            head,
        } = attached;
        Self {
            model,
            dynamics,
            faster,
            head,
        }
    }
}
