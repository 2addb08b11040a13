//! How far a run is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Epoch;
use super::sums::Sums;

/// The numbers in a checkpoint that are not tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) epochs: Vec<Epoch>,
    pub(super) step_seconds: Vec<f64>,
    pub(super) seconds: f64,
    /// Sums over the steps of an epoch that was stopped before its end; `None` between epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partial: Option<Sums>,
    /// The number of updates of the average of the weights.
    #[serde(default)]
    pub(super) ema_updates: usize,
    /// The best epoch so far, from 1.
    #[serde(default)]
    pub(super) best: Option<usize>,
    /// The number of optimiser steps of each parameter, by path.
    pub(super) steps: BTreeMap<String, u64>,
}
