//! The result of a run.

use finetune_methods::fit::Findings;

use super::record::Epoch;
use crate::features::CachedFeatures;

/// A trained model and the record of its run.
#[derive(Debug)]
pub struct Trained<M> {
    /// The model, with its adapters; it can go on training.
    pub model: M,
    /// The epochs of the run.
    pub epochs: Vec<Epoch>,
    /// The epoch (from 1) whose weights the model has, if it is not the last one.
    pub best: Option<usize>,
    /// Duration of each step in seconds: reading the batch, forward, backward, update.
    pub step_seconds: Vec<f64>,
    /// Duration of the run in seconds.
    pub seconds: f64,
    /// Whether the observer ended the run before its last step.
    pub stopped: bool,
    /// The features that were computed once instead of at every step. The time for it is part of
    /// `seconds`.
    pub features: Option<CachedFeatures>,
    /// What a method found out that was computed at once, by name.
    pub found: Findings,
}

impl<M> Trained<M> {
    /// A model that was not trained in steps.
    pub(super) fn without_steps(model: M) -> Self {
        Self {
            model,
            epochs: Vec::new(),
            best: None,
            step_seconds: Vec::new(),
            seconds: 0.0,
            stopped: false,
            features: None,
            found: Vec::new(),
        }
    }
}
