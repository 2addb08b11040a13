//! Means over the batches of an epoch.

use serde::{Deserialize, Serialize};

use super::exact;

/// `part / whole`; 0 if both are 0.
#[allow(clippy::cast_precision_loss)]
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Sums over the batches of an epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    #[serde(with = "exact")]
    loss: f64,
    correct: usize,
    count: usize,
}

impl Sums {
    /// Adds a batch of `count` images.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn add(&mut self, mean_loss: f64, correct: usize, count: usize) {
        self.loss += mean_loss * count as f64;
        self.correct += correct;
        self.count += count;
    }

    /// Mean loss per image.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.count.max(1) as f64
    }

    /// Share of the images that were classified correctly.
    pub(super) fn accuracy(&self) -> f64 {
        ratio(self.correct, self.count)
    }

    /// Images per second.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn count_per(&self, seconds: f64) -> f64 {
        self.count as f64 / seconds.max(1e-9)
    }
}
