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

#[cfg(test)]
#[allow(clippy::float_cmp)] // sums of small whole numbers
mod tests {
    use super::{Sums, ratio};

    #[test]
    fn means_are_weighted_by_the_images_of_each_batch() {
        let mut sums = Sums::default();
        sums.add(2.0, 1, 3);
        sums.add(5.0, 1, 1);
        // (2·3 + 5·1) / 4, 2 of 4, and 4 images in half a second.
        assert_eq!(sums.loss(), 2.75);
        assert_eq!(sums.accuracy(), 0.5);
        assert_eq!(sums.count_per(0.5), 8.0);
    }

    #[test]
    fn nothing_has_the_mean_0() {
        let none = Sums::default();
        assert_eq!(
            [none.loss(), none.accuracy(), none.count_per(1.0)],
            [0.0; 3]
        );
        assert_eq!(ratio(0, 0), 0.0);
        assert_eq!(ratio(3, 4), 0.75);
    }
}
