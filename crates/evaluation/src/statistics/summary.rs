//! Runs of one method put together over their seeds.

use crate::report::json::{Report, Run};

/// One method, on one number of training images, over all its seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The method's name.
    pub method: String,
    /// Training images of each class, where fewer than all were taken.
    pub train_per_class: Option<usize>,
    /// Number of seeds.
    pub seeds: usize,
    /// Test accuracy of each seed.
    pub accuracies: Vec<f64>,
    /// Mean and sample standard deviation of the test accuracy.
    pub accuracy: Spread,
    /// Mean macro-F1.
    pub macro_f1: f64,
    /// Test images of one run.
    pub test_images: u64,
    /// Parameters that were trained.
    pub trainable_parameters: u64,
    /// All parameters.
    pub total_parameters: u64,
    /// Median of the runs' median step times, seconds.
    pub seconds_per_step: f64,
    /// Mean duration of the training, seconds.
    pub train_seconds: f64,
    /// Largest peak memory of the runs, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Size of the smallest file that gives the model back, bytes.
    pub artifact_bytes: u64,
}

impl Summary {
    /// Whether a run is one of those put together here.
    #[must_use]
    pub fn holds(&self, run: &Run) -> bool {
        self.method == run.method && self.train_per_class == run.train_per_class
    }

    /// The 95 % interval of the mean accuracy; `None` where the test images are not known.
    ///
    /// Further seeds do not narrow it: they are tested on the same images.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let images = self.test_images as f64;
        (self.test_images > 0).then(|| wilson(self.accuracy.mean * images, images))
    }
}

/// The summaries on the most training images: what can be compared side by side.
pub(crate) fn fullest(summaries: &[Summary]) -> Vec<&Summary> {
    let images = |summary: &Summary| summary.train_per_class.unwrap_or(usize::MAX);
    let most = summaries.iter().map(images).max();
    summaries
        .iter()
        .filter(|summary| Some(images(summary)) == most)
        .collect()
}

/// A mean and how far values lie around it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (`n - 1`), 0 of one value.
    pub std: f64,
}

impl Spread {
    /// Of some values; 0 of none.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        if values.is_empty() {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = if values.len() < 2 {
            0.0
        } else {
            (squares / (count - 1.0)).sqrt()
        };
        Self { mean, std }
    }
}

/// The median; the mean of the middle two of an even number; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Puts the runs of a report together, in the order in which methods first appear.
#[must_use]
pub fn summarize(report: &Report) -> Vec<Summary> {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    for run in &report.runs {
        let same = |group: &&mut Vec<&Run>| {
            group[0].method == run.method && group[0].train_per_class == run.train_per_class
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups.into_iter().map(|group| summary(&group)).collect()
}

fn summary(runs: &[&Run]) -> Summary {
    let values = |of: fn(&Run) -> f64| runs.iter().map(|run| of(run)).collect::<Vec<_>>();
    let accuracies = values(|run| run.accuracy);
    let first = runs[0];
    Summary {
        method: first.method.clone(),
        train_per_class: first.train_per_class,
        seeds: runs.len(),
        accuracy: Spread::of(&accuracies),
        accuracies,
        test_images: first.confusion.iter().flatten().sum(),
        macro_f1: Spread::of(&values(|run| run.macro_f1)).mean,
        trainable_parameters: first.trainable_parameters,
        total_parameters: first.total_parameters,
        seconds_per_step: median(&values(|run| run.seconds_per_step)),
        train_seconds: Spread::of(&values(|run| run.train_seconds)).mean,
        peak_memory_bytes: runs.iter().filter_map(|run| run.peak_memory_bytes).max(),
        artifact_bytes: first.artifact_bytes,
    }
}

/// The 95 % interval of a share, from `right` of `total` (Wilson 1927).
#[must_use]
pub fn wilson(right: f64, total: f64) -> (f64, f64) {
    if total <= 0.0 {
        return (0.0, 1.0);
    }
    let z = 1.959_963_984_540_054_f64;
    let share = right / total;
    let middle = share + z * z / (2.0 * total);
    let half = z * (share * (1.0 - share) / total + z * z / (4.0 * total * total)).sqrt();
    let scale = 1.0 + z * z / total;
    ((middle - half) / scale, (middle + half) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    #[test]
    fn spread_and_median() {
        let spread = Spread::of(&[0.90, 0.92, 0.94]);
        assert!((spread.mean - 0.92).abs() < 1e-12 && (spread.std - 0.02).abs() < 1e-12);
        assert_eq!(
            Spread::of(&[0.5]),
            Spread {
                mean: 0.5,
                std: 0.0
            }
        );
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn runs_are_put_together_by_method_and_number_of_images() {
        let mut report = with_runs(&[("sft", 0, 0.9), ("lora", 0, 0.8), ("sft", 1, 0.94)]);
        report.runs[2].seconds_per_step = 0.5;
        report.runs[2].peak_memory_bytes = Some(999);
        let summaries = summarize(&report);
        let names: Vec<_> = summaries
            .iter()
            .map(|summary| summary.method.as_str())
            .collect();
        assert_eq!(names, ["sft", "lora"]);
        assert_eq!(
            (summaries[0].seeds, summaries[0].peak_memory_bytes),
            (2, Some(999))
        );
        // (0.19 + 0.5) / 2; sqrt(2 · 0.02²) of two values 0.04 apart.
        assert!((summaries[0].seconds_per_step - 0.345).abs() < 1e-12);
        assert!((summaries[0].accuracy.std - 0.0008_f64.sqrt()).abs() < 1e-12);
        report.runs[2].train_per_class = Some(5);
        let summaries = summarize(&report);
        assert_eq!(summaries.len(), 3);
        assert_eq!(fullest(&summaries).len(), 2);
    }

    #[test]
    fn seeds_do_not_narrow_the_interval() {
        let mut report = with_runs(&[("sft", 0, 0.9), ("sft", 1, 0.9)]);
        for run in &mut report.runs {
            run.confusion = vec![vec![5, 0], vec![1, 4]];
        }
        let (low, high) = summarize(&report)[0].interval().unwrap();
        assert!((low - 0.595_850_0).abs() < 1e-6 && (high - 0.982_123_8).abs() < 1e-6);
    }

    #[test]
    fn wilson_of_nine_in_ten() {
        // R: binom::binom.wilson(9, 10): 0.5958500, 0.9821238.
        let (low, high) = wilson(9.0, 10.0);
        assert!((low - 0.595_850_0).abs() < 1e-6 && (high - 0.982_123_8).abs() < 1e-6);
    }
}
