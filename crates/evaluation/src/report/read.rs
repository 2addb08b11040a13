//! Reading `report.json`, and checks of what it says: what is computed from its numbers must be
//! possible.

use std::path::Path;

use finetune_files::read_text;
use serde::Deserialize;

use super::json::{Report, VERSION};
use super::run::{Epoch, Run};
use crate::error::EvaluationError;
use crate::metrics::Confusion;

/// Bytes that a report may have: 1000 runs of 1000 epochs and 100 classes take a third of it.
const LIMIT: u64 = 1 << 30;

/// The setting by which reports without [`Run::stopped`] say that a run was stopped.
const STOPPED: &str = "stopped early";

/// The largest count that is believed: sums of counts stay exact in `f64`, and do not overflow.
const MOST: u64 = 1 << 53;

/// The largest number of an epoch that is believed.
const MOST_EPOCHS: usize = 1_000_000_000;

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Io`] if the file cannot be read, [`EvaluationError::Format`] if it is not a
    /// report or has numbers out of their ranges, [`EvaluationError::Version`] if it has another version.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let text = read_text(path, LIMIT).map_err(|source| EvaluationError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let format = |error: serde_json::Error| EvaluationError::Format {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let Versioned { version } = serde_json::from_str(&text).map_err(format)?;
        if version != VERSION {
            return Err(EvaluationError::Version {
                path: path.to_owned(),
                version,
                supported: VERSION,
            });
        }
        let mut report: Self = serde_json::from_str(&text).map_err(format)?;
        for run in &mut report.runs {
            run.stopped |= run.settings.contains_key(STOPPED);
        }
        match problem(&report) {
            Some(reason) => Err(EvaluationError::Format {
                path: path.to_owned(),
                reason,
            }),
            None => Ok(report),
        }
    }
}

/// What is wrong with a report, if anything.
fn problem(report: &Report) -> Option<String> {
    let data = &report.dataset;
    let counts = [data.train, data.valid, data.test];
    if counts.iter().any(|images| *images as u64 > MOST) {
        return Some("the number of images is out of range".to_owned());
    }
    let few = report.few.iter().flat_map(|few| &few.runs);
    report.runs.iter().chain(few).find_map(|run| {
        let what = of_run(run, data.classes.len())?;
        Some(format!(
            "{what} of the run `{}` {} out of range",
            run.method,
            is(what)
        ))
    })
}

fn is(what: &str) -> &'static str {
    if what.ends_with('s') { "are" } else { "is" }
}

fn of_run(run: &Run, classes: usize) -> Option<&'static str> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let shares = |values: &[f64]| values.iter().all(|value| share(*value));
    // Losses are computed as `f32`. NaN stands for a training that diverged.
    let number = |value: f64| value.is_nan() || value.abs() <= f64::from(f32::MAX);
    let optional = |value: Option<f64>| value.is_none_or(number);
    let epoch = |epoch: &Epoch| {
        epoch.epoch <= MOST_EPOCHS
            && number(epoch.train_loss)
            && optional(epoch.valid_loss)
            && share(epoch.train_accuracy)
            && epoch.valid_accuracy.is_none_or(share)
            && number(epoch.learning_rate)
            && number(epoch.seconds)
            && number(epoch.images_per_second)
            && epoch.memory_bytes.is_none_or(|bytes| bytes <= MOST)
    };
    let duration = |value: f64| value.is_finite() && value >= 0.0;
    let mut counts = run.confusion.iter().flatten();
    let images = counts.try_fold(0_u64, |sum, count| sum.checked_add(*count));
    // Whoever computes with the matrix makes lists of one number per class.
    let of_the_classes = |counts: &Confusion| counts.classes() == classes && counts.total() <= MOST;
    let parameters = [
        run.trainable_parameters,
        run.total_parameters,
        run.artifact_bytes,
    ];
    let test = run.range_test.as_ref();
    let checks = [
        ("the accuracy", share(run.accuracy) && share(run.macro_f1)),
        ("the accuracies", shares(&run.per_class_accuracy)),
        (
            "the confusion matrix",
            images.is_some_and(|images| images <= MOST)
                && run.confusion_counts.as_ref().is_none_or(of_the_classes),
        ),
        (
            "the parameters",
            parameters.iter().all(|count| *count <= MOST),
        ),
        (
            "the memory",
            run.peak_memory_bytes.is_none_or(|bytes| bytes <= MOST),
        ),
        (
            "the times",
            duration(run.train_seconds) && duration(run.seconds_per_step),
        ),
        ("the epochs", run.epochs.iter().all(epoch)),
        (
            "the learning rate range test",
            test.is_none_or(|test| {
                let values = test
                    .rates
                    .iter()
                    .chain(&test.losses)
                    .chain([&test.suggestion]);
                test.rates.len() == test.losses.len() && values.copied().all(number)
            }),
        ),
    ];
    let mut checks = checks.into_iter();
    checks.find_map(|(what, valid)| (!valid).then_some(what))
}
