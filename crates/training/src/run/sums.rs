//! Means over an epoch's batches.

#[allow(clippy::cast_precision_loss)]
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Sums over an epoch's batches.
#[derive(Default)]
pub(crate) struct Sums {
    loss: f64,
    right: usize,
    count: usize,
}

impl Sums {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn add(&mut self, mean_loss: f64, right: usize, count: usize) {
        self.loss += mean_loss * count as f64;
        self.right += right;
        self.count += count;
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn loss(&self) -> f64 {
        self.loss / self.count.max(1) as f64
    }

    pub(crate) fn accuracy(&self) -> f64 {
        ratio(self.right, self.count)
    }

    /// How many a second.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn count_per(&self, seconds: f64) -> f64 {
        self.count as f64 / seconds.max(1e-9)
    }
}
