//! Runs of one method, summarised over their seeds.

use std::collections::BTreeSet;

use super::outcomes::Outcomes;
use super::spread::{Spread, median};
use super::wilson::wilson;
use crate::metrics::Confusion;
use crate::report::json::Report;
use crate::report::run::Run;
use crate::report::side_by_side::SideBySide;

/// One method, trained on one number of images, summarised over all its seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the method.
    pub method: String,
    /// Training images per class, if they were limited.
    pub train_per_class: Option<usize>,
    /// Number of seeds.
    pub seeds: usize,
    /// Whether one of the runs was stopped before its last step.
    pub stopped: bool,
    /// Test accuracy of each seed.
    pub accuracies: Vec<f64>,
    /// Which test images each seed's model classifies correctly; `None` if a run does not say it.
    pub outcomes: Option<Outcomes>,
    /// Mean and sample standard deviation of the test accuracy.
    pub accuracy: Spread,
    /// Mean macro-F1.
    pub macro_f1: f64,
    /// Number of test images of one run.
    pub test_images: u64,
    /// Index of the class with the most test images, and their share: the accuracy of always
    /// answering that class. `None` if there are no test images.
    pub commonest: Option<(usize, f64)>,
    /// Number of training images of the class with the most, if the report has it.
    pub train_per_class_found: Option<usize>,
    /// Number of classes.
    pub classes: usize,
    /// The highest training loss of the seeds in their last epochs; NaN if one is.
    pub last_loss: Option<f64>,
    /// Mean accuracies on the training and the validation images in the last epochs; `None` if there are
    /// no validation images.
    pub last_accuracies: Option<[f64; 2]>,
    /// Number of trainable parameters.
    pub trainable_parameters: u64,
    /// Number of parameters.
    pub total_parameters: u64,
    /// Median of the runs' median step times, seconds; `None` if there were no steps.
    pub seconds_per_step: Option<f64>,
    /// Mean training time, seconds.
    pub train_seconds: f64,
    /// Highest peak memory of the runs, bytes; `None` if no run measured it.
    pub peak_memory_bytes: Option<u64>,
    /// The ways in which the runs were done beside others at the same time, each once; `None` is alone.
    pub side_by_side: Vec<Option<SideBySide>>,
    /// Size of the smallest file that restores the model together with the base weights, bytes.
    pub artifact_bytes: u64,
}

/// Methods that show what pretraining, and training more than the head, are worth, with what they do
/// without. Others are compared with them, but they are not recommended if there are others.
const YARDSTICKS: [(&str, &str); 4] = [
    ("linear", "the head alone"),
    ("probe", "the head alone"),
    ("knn", "no training"),
    (SCRATCH, "no pretraining"),
];

/// The yardstick that shows what pretraining is worth.
pub(crate) const SCRATCH: &str = "scratch";

impl Summary {
    /// What the method does without, if it is a yardstick.
    pub(crate) fn yardstick(&self) -> Option<&'static str> {
        // Beside the runs of other reports, a method has the name of its report before its own.
        let own = self.method.rsplit('/').next();
        let mut yardsticks = YARDSTICKS.iter();
        let found = yardsticks.find(|(name, _)| own == Some(*name));
        found.map(|(_, without)| *without)
    }

    /// Whether `run` is one of the summarised runs.
    #[must_use]
    pub fn contains(&self, run: &Run) -> bool {
        self.method == run.method && self.train_per_class == run.train_per_class
    }

    /// The 95 % interval of the mean accuracy; `None` if the number of test images is not known.
    ///
    /// More seeds do not narrow it, because all of them are tested on the same images.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let images = self.test_images as f64;
        (self.test_images > 0).then(|| wilson(self.accuracy.mean * images, images))
    }

    /// Whether the test images show that the method is better than always answering the commonest
    /// class: that share lies below the [interval](Self::interval). `None` if there are none.
    #[must_use]
    pub fn beats_chance(&self) -> Option<bool> {
        let (_, share) = self.commonest?;
        let (low, _) = self.interval()?;
        Some(low > share)
    }

    /// Whether training seems to have diverged: the loss of the last epoch is more than twice that of
    /// [guessing](Self::guessing) although the method has not learnt to [beat
    /// chance](Self::beats_chance), or more than a hundred times that.
    #[must_use]
    pub fn diverged(&self) -> bool {
        let Some(loss) = self.last_loss.filter(|_| self.classes > 1) else {
            return false;
        };
        let times = if self.beats_chance() == Some(true) {
            100.0
        } else {
            2.0
        };
        loss.is_nan() || loss > times * self.guessing()
    }

    /// Whether the method overfits: it classifies nearly all training images correctly, and far fewer of
    /// the validation images.
    #[must_use]
    pub fn overfits(&self) -> bool {
        /// Share of the training images from which on hardly any are left to learn.
        const LEARNT: f64 = 0.9;
        /// The difference that is worth a word.
        const GAP: f64 = 0.15;
        self.last_accuracies
            .is_some_and(|[train, valid]| train >= LEARNT && train - valid >= GAP)
    }

    /// The cross-entropy of guessing: the logarithm of the number of classes.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn guessing(&self) -> f64 {
        (self.classes.max(1) as f64).ln()
    }
}

/// The summaries with the largest number of training images: those that can be compared.
pub(crate) fn largest(summaries: &[Summary]) -> Vec<&Summary> {
    let images = |summary: &Summary| summary.train_per_class.unwrap_or(usize::MAX);
    let most = summaries.iter().map(images).max();
    summaries
        .iter()
        .filter(|summary| Some(images(summary)) == most)
        .collect()
}

/// Summarises the runs of a report, in the order in which their methods first appear.
#[must_use]
pub fn summarize(report: &Report) -> Vec<Summary> {
    summarize_runs(&report.runs)
}

/// Summarises runs, in the order in which their methods first appear.
#[must_use]
pub fn summarize_runs(runs: &[Run]) -> Vec<Summary> {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
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
    let confusion = first.confusion();
    Summary {
        method: first.method.clone(),
        train_per_class: first.train_per_class,
        seeds: runs.len(),
        stopped: runs.iter().any(|run| run.stopped),
        accuracy: Spread::of(&accuracies),
        accuracies,
        outcomes: outcomes(runs),
        test_images: confusion.total(),
        commonest: commonest(&confusion),
        train_per_class_found: first.train_per_class_found,
        classes: confusion.classes(),
        last_loss: last_loss(runs),
        last_accuracies: last_accuracies(runs),
        macro_f1: Spread::of(&values(|run| run.macro_f1)).mean,
        trainable_parameters: first.trainable_parameters,
        total_parameters: first.total_parameters,
        seconds_per_step: Some(median(&values(|run| run.seconds_per_step)))
            .filter(|seconds| *seconds != 0.0),
        train_seconds: Spread::of(&values(|run| run.train_seconds)).mean,
        peak_memory_bytes: runs.iter().filter_map(|run| run.peak_memory_bytes).max(),
        side_by_side: side_by_side(runs),
        artifact_bytes: first.artifact_bytes,
    }
}

fn side_by_side(runs: &[&Run]) -> Vec<Option<SideBySide>> {
    let ways: BTreeSet<_> = runs.iter().map(|run| run.side_by_side).collect();
    ways.into_iter().collect()
}

fn outcomes(runs: &[&Run]) -> Option<Outcomes> {
    let correct = runs.iter().map(|run| run.correct());
    Outcomes::new(correct.collect::<Option<_>>()?).ok()
}

/// The class with the most test images, and their share.
#[allow(clippy::cast_precision_loss)]
fn commonest(confusion: &Confusion) -> Option<(usize, f64)> {
    let all = confusion.total();
    let rows = confusion.per_class().into_iter();
    // The first of equally common ones.
    let most = rows.enumerate().rev().max_by_key(|(_, images)| *images);
    most.filter(|_| all > 0)
        .map(|(class, images)| (class, images as f64 / all as f64))
}

fn last_loss(runs: &[&Run]) -> Option<f64> {
    let losses = runs.iter().filter_map(|run| run.epochs.last());
    let losses = losses.map(|epoch| epoch.train_loss);
    losses.reduce(|a, b| if a.is_nan() || a > b { a } else { b })
}

fn last_accuracies(runs: &[&Run]) -> Option<[f64; 2]> {
    let last = runs.iter().map(|run| {
        let epoch = run.epochs.last()?;
        Some((epoch.train_accuracy, epoch.valid_accuracy?))
    });
    let (train, valid): (Vec<f64>, Vec<f64>) =
        last.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    Some([Spread::of(&train).mean, Spread::of(&valid).mean])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::tests::with_runs;

    #[test]
    fn runs_are_grouped_by_method_and_number_of_training_images() {
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
        // The mean is (0.19 + 0.5) / 2; two values that differ by 0.04 have the standard deviation
        // sqrt(2 · 0.02²).
        assert!((summaries[0].seconds_per_step.unwrap() - 0.345).abs() < 1e-12);
        assert!((summaries[0].accuracy.std - 0.0008_f64.sqrt()).abs() < 1e-12);
        report.runs[1].seconds_per_step = 0.0;
        assert_eq!(summarize(&report)[1].seconds_per_step, None);
        report.runs[2].train_per_class = Some(5);
        let summaries = summarize(&report);
        assert_eq!(summaries.len(), 3);
        assert_eq!(largest(&summaries).len(), 2);
    }

    #[test]
    fn more_seeds_do_not_narrow_the_interval() {
        let mut report = with_runs(&[("sft", 0, 0.9), ("sft", 1, 0.9)]);
        for run in &mut report.runs {
            run.confusion = vec![vec![5, 0], vec![1, 4]];
        }
        let (low, high) = summarize(&report)[0].interval().unwrap();
        assert!((low - 0.595_850_0).abs() < 1e-6 && (high - 0.982_123_8).abs() < 1e-6);
    }
}
