//! Where a method works.

use crate::inspect::{Importance, Targets};

/// Where a method works, and what it may use to choose.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Path of the head, e.g. `linear`. The head always trains and is never adapted.
    pub head: &'a str,
    /// The layers that get an adapter.
    pub targets: &'a Targets,
    /// Seed of the adapters' random start.
    pub seed: u64,
    /// Gradients before training, for a method that
    /// [needs them](crate::Method::needs_gradients).
    pub importance: Option<&'a Importance>,
    /// Whether `BatchNorm` statistics are updated although the base is frozen.
    pub adapt_statistics: bool,
    /// Layers that train whole beside the head, by their paths or the ends of their paths (HF PEFT's
    /// `modules_to_save`).
    pub modules_to_save: &'a [String],
}

impl<'a> Scope<'a> {
    /// A scope with frozen statistics, without gradients, and with no whole layers but the head.
    #[must_use]
    pub fn new(head: &'a str, targets: &'a Targets, seed: u64) -> Self {
        Self {
            head,
            targets,
            seed,
            importance: None,
            adapt_statistics: false,
            modules_to_save: &[],
        }
    }
}
