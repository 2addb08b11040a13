//! The numbers that a run reports after each step and each epoch.

use serde::{Deserialize, Serialize};

use super::exact;

/// A finished epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean cross-entropy of the training images that the epoch used, each measured in its step.
    #[serde(with = "exact")]
    pub train_loss: f64,
    /// Share of these images that were classified correctly in that step, 0 to 1.
    #[serde(with = "exact")]
    pub train_accuracy: f64,
    /// Mean cross-entropy of the validation images after the epoch.
    #[serde(with = "exact::option")]
    pub valid_loss: Option<f64>,
    /// Share of the validation images that are classified correctly after the epoch, 0 to 1.
    #[serde(with = "exact::option")]
    pub valid_accuracy: Option<f64>,
    /// Learning rate of the epoch's last step.
    #[serde(with = "exact")]
    pub learning_rate: f64,
    /// Duration in seconds, including validation.
    pub seconds: f64,
    /// Training images per second, without validation.
    #[serde(default)]
    pub images_per_second: f64,
    /// Memory of the process in bytes, if the observer measures it.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// A finished step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Its number in the run, from 1.
    pub step: usize,
    /// The number of steps in the run.
    pub steps: usize,
    /// Its epoch, from 1.
    pub epoch: usize,
    /// Mean cross-entropy of its images.
    pub loss: f64,
    /// Share of its images that were classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// The number of its images.
    pub images: usize,
    /// Its duration in seconds.
    pub seconds: f64,
}
