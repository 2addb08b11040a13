//! `report.json`: what the runs of one command measured. The format is versioned, and a version
//! only ever gains fields.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::EvaluationError;
use crate::files::write_atomically;
use crate::metrics::Confusion;
use crate::report::details::{AugmentedImage, Mistake, Scores, Tried};
use crate::report::prefer::Prefer;
use crate::report::side_by_side::SideBySide;
use crate::understood::Understood;

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// All runs of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the format.
    pub version: u32,
    /// The command that repeats these runs.
    #[serde(default)]
    pub command: String,
    /// The data set.
    pub dataset: DatasetInfo,
    /// Name of the model.
    pub model: String,
    /// Source of the model's weights.
    #[serde(default)]
    pub weights: String,
    /// Name of the device.
    pub device: String,
    /// Number of threads that computed.
    #[serde(default)]
    pub threads: usize,
    /// The precision of products, unless they were `f32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// The finished runs.
    pub runs: Vec<Run>,
    /// Runs that failed, with their errors.
    #[serde(default)]
    pub failed: Vec<Failure>,
    /// Whether the command was interrupted before all runs were finished.
    #[serde(default)]
    pub interrupted: bool,
    /// The settings that were tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// What counts besides accuracy for the recommendation.
    #[serde(default)]
    pub prefer: Prefer,
    /// What the command understood at its start.
    #[serde(default)]
    pub understood: Option<Understood>,
}

/// The data set of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Path of its folder, or `embedded:signs`.
    pub path: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Number of training images, without validation images.
    pub train: usize,
    /// Number of validation images.
    pub valid: usize,
    /// Number of test images.
    pub test: usize,
    /// Images of all splits that were left out because they could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedImage>,
}

/// An image that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedImage {
    /// Its path.
    pub image: String,
    /// Why it was left out.
    pub reason: String,
}

/// One run: one method with one seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the method.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// Training images per class, if they were limited.
    #[serde(default)]
    pub train_per_class: Option<usize>,
    /// Number of training images of the class with the most.
    #[serde(default)]
    pub train_per_class_found: Option<usize>,
    /// Share of the test images that are classified correctly.
    pub accuracy: f64,
    /// Mean of the classes' F1 scores.
    pub macro_f1: f64,
    /// For each class, the share of its test images that are classified correctly.
    #[serde(default)]
    pub per_class_accuracy: Vec<f64>,
    /// Counts of test images by actual class (row) and predicted class (column). Empty if there are
    /// more than [`Confusion::MOST_ROWS`] classes; see [`confusion`](Self::confusion).
    pub confusion: Vec<Vec<u64>>,
    /// The counts that are not zero, for more classes than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion_counts: Option<Confusion>,
    /// For each test image, in the order of the data set, `1` if it is classified correctly and `0` if
    /// not; see [`outcomes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<String>,
    /// What the probabilities of the classes say of the test images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// The test images that the model is wrong about and most confident of, the most confident first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistake>,
    /// What the augmentation does to a few training images; empty if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub augmented: Vec<AugmentedImage>,
    /// The epochs.
    pub epochs: Vec<Epoch>,
    /// Number of trainable parameters.
    pub trainable_parameters: u64,
    /// Number of parameters.
    pub total_parameters: u64,
    /// Number of optimiser steps.
    #[serde(default)]
    pub steps: u64,
    /// Whether the run was stopped before its last step.
    #[serde(default)]
    pub stopped: bool,
    /// Duration of the training, seconds.
    pub train_seconds: f64,
    /// Median time per step, seconds.
    pub seconds_per_step: f64,
    /// Time from the start of the command to the first training step, seconds: images, weights,
    /// adapters and the features of frozen layers. For all but the first run of a comparison, the
    /// time from the start of the run.
    #[serde(default)]
    pub startup_seconds: Option<f64>,
    /// Duration of the test, seconds.
    #[serde(default)]
    pub test_seconds: Option<f64>,
    /// Highest resident memory of the run, bytes; `None` if the system does not report it.
    pub peak_memory_bytes: Option<u64>,
    /// How it was done beside others at the same time; `None` if alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side_by_side: Option<SideBySide>,
    /// Size of the smallest file that restores the model together with the base weights, bytes.
    pub artifact_bytes: u64,
    /// Paths of the files that were written, relative to the report.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// SHA-256 of these files by name, in hexadecimal.
    #[serde(default)]
    pub artifact_sha256: BTreeMap<String, String>,
    /// Settings by name, for people to read: rank, learning rate, …
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The learning rate range test, if one was run.
    #[serde(default)]
    pub range_test: Option<RangeTest>,
}

/// A learning rate range test: the training loss while the learning rate rises at every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeTest {
    /// Learning rate at each step.
    pub rates: Vec<f64>,
    /// Smoothed loss at each step.
    pub losses: Vec<f64>,
    /// The learning rate that was chosen.
    pub suggestion: f64,
}

/// One epoch of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean cross-entropy of the training images; NaN (`null` in JSON) if training diverged.
    #[serde(deserialize_with = "number_or_null")]
    pub train_loss: f64,
    /// Share of the training images that were classified correctly.
    #[serde(default)]
    pub train_accuracy: f64,
    /// Mean cross-entropy of the validation images.
    #[serde(default)]
    pub valid_loss: Option<f64>,
    /// Share of the validation images that were classified correctly.
    #[serde(default)]
    pub valid_accuracy: Option<f64>,
    /// Learning rate at the end of the epoch.
    #[serde(default)]
    pub learning_rate: f64,
    /// Duration, seconds.
    pub seconds: f64,
    /// Training images per second, without the time of validation.
    #[serde(default)]
    pub images_per_second: f64,
    /// Highest memory of the process up to the end of the epoch, bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// JSON has no NaN: serde writes it as `null`, which is read back as NaN.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the method.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The error.
    pub error: String,
}

impl Run {
    /// The confusion matrix.
    #[must_use]
    pub fn confusion(&self) -> Confusion {
        let counts = self.confusion_counts.clone();
        counts.unwrap_or_else(|| Confusion::from_rows(&self.confusion))
    }

    /// Which test images are classified correctly; `None` if the report does not say that of every one
    /// of them.
    #[must_use]
    pub fn correct(&self) -> Option<Vec<bool>> {
        let text = self.outcomes.as_deref()?;
        let correct = text.chars().map(|outcome| match outcome {
            '0' => Some(false),
            '1' => Some(true),
            _ => None,
        });
        let correct: Vec<bool> = correct.collect::<Option<_>>()?;
        (correct.len() as u64 == self.confusion().total()).then_some(correct)
    }
}

/// The text of [`Run::outcomes`].
#[must_use]
pub fn outcomes(correct: impl IntoIterator<Item = bool>) -> String {
    let outcomes = correct.into_iter().map(u8::from);
    outcomes.map(|outcome| char::from(b'0' + outcome)).collect()
}

impl Report {
    /// Serialises the report as JSON.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Format`] if serde cannot serialise it, which no report is known to cause.
    pub fn to_json(&self) -> Result<String, EvaluationError> {
        serde_json::to_string_pretty(self).map_err(|error| EvaluationError::Format {
            path: PathBuf::from("report.json"),
            reason: error.to_string(),
        })
    }

    /// Writes the report as `report.json` into `folder`, which must exist, and returns the path of
    /// the file.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Io`] if the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, EvaluationError> {
        let path = folder.join("report.json");
        write_atomically(&path, self.to_json()?.as_bytes())?;
        Ok(path)
    }

    /// A copy without what differs from one execution to the next: times and memory, and
    /// what they depend on.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let mut report = self.clone();
        for run in &mut report.runs {
            run.train_seconds = 0.0;
            run.seconds_per_step = 0.0;
            run.startup_seconds = None;
            run.test_seconds = None;
            run.peak_memory_bytes = None;
            run.side_by_side = None;
            for epoch in &mut run.epochs {
                epoch.seconds = 0.0;
                epoch.images_per_second = 0.0;
                epoch.memory_bytes = None;
            }
        }
        report
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with the original fields of version 1, without those that were added later.
    const VERSION_1: &str = r#"{"version": 1,
        "dataset": {"path": "d", "classes": ["a", "b"], "train": 4, "valid": 0, "test": 2},
        "model": "m", "device": "flex",
        "runs": [{"method": "lora", "seed": 0, "accuracy": 0.5, "macro_f1": 0.4,
            "confusion": [[1, 0], [1, 0]],
            "epochs": [{"epoch": 1, "train_loss": 0.7, "valid_accuracy": 0.8, "seconds": 3.1}],
            "trainable_parameters": 12, "total_parameters": 56, "train_seconds": 31.0,
            "seconds_per_step": 0.19, "peak_memory_bytes": 123, "artifact_bytes": 45}]}"#;

    /// Returns [`VERSION_1`] with copies of its run that have other methods, seeds and accuracies.
    pub(crate) fn with_runs(runs: &[(&str, u64, f64)]) -> Report {
        let mut report: Report = serde_json::from_str(VERSION_1).unwrap();
        let run = report.runs.remove(0);
        report
            .runs
            .extend(runs.iter().map(|(method, seed, accuracy)| Run {
                method: (*method).to_owned(),
                seed: *seed,
                accuracy: *accuracy,
                ..run.clone()
            }));
        report
    }

    fn read(text: &str) -> Result<Report, EvaluationError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, text).unwrap();
        Report::read(&path)
    }

    #[test]
    fn older_reports_record_in_the_settings_that_a_run_was_stopped() {
        let settings = r#""settings": {"stopped early": "yes"}, "artifact_bytes""#;
        let older = VERSION_1.replacen(r#""artifact_bytes""#, settings, 1);
        assert!(read(&older).unwrap().runs[0].stopped);
        assert!(!read(VERSION_1).unwrap().runs[0].stopped);
    }

    #[test]
    fn version_1_is_read_and_survives_a_round_trip() {
        let report = read(VERSION_1).unwrap();
        assert_eq!(report.runs[0].epochs[0].valid_accuracy, Some(0.8));
        assert_eq!(report.runs[0].confusion, [[1, 0], [1, 0]]);
        let folder = tempfile::tempdir().unwrap();
        let path = report.write(folder.path()).unwrap();
        assert_eq!(path, folder.path().join("report.json"));
        assert_eq!(Report::read(&path).unwrap(), report);
        let newer = VERSION_1.replacen('{', r#"{"later": [1], "#, 1);
        assert_eq!(read(&newer).unwrap(), report);
    }

    #[test]
    fn the_matrix_of_many_classes_is_written_without_its_zeros() {
        let classes = Confusion::MOST_ROWS + 1;
        let actual: Vec<usize> = (0..classes).collect();
        let confusion = Confusion::from_predictions(classes, &actual, &vec![3; classes]).unwrap();
        let mut report = with_runs(&[("sft", 0, 0.5)]);
        report.dataset.classes = actual.iter().map(usize::to_string).collect();
        let run = &mut report.runs[0];
        (run.confusion, run.confusion_counts) = confusion.clone().written();
        assert!(run.confusion.is_empty());
        let text = report.to_json().unwrap();
        assert!(text.len() < 100 * classes, "{}", text.len());
        assert_eq!(read(&text).unwrap(), report);
        assert_eq!(report.runs[0].confusion(), confusion);
        // One class less, and the matrix is written as it always was.
        let fewer = Confusion::new(classes - 1).written();
        assert_eq!((fewer.0.len(), fewer.1), (classes - 1, None));
        report.dataset.classes.pop();
        let error = read(&report.to_json().unwrap()).unwrap_err().to_string();
        assert!(error.contains("the confusion matrix of the run"), "{error}");
    }

    #[test]
    fn other_versions_and_other_files_are_errors() {
        let error = read(&VERSION_1.replace("\"version\": 1", "\"version\": 2")).unwrap_err();
        let error = error.to_string();
        let end = "is a report of version 2; this program reads version 1";
        assert!(error.ends_with(end), "{error}");
        assert!(matches!(read("[]"), Err(EvaluationError::Format { .. })));
        let missing = Report::read(Path::new("/nowhere/report.json"));
        assert!(matches!(
            missing,
            Err(EvaluationError::Io { action: "read", .. })
        ));
    }

    #[test]
    fn numbers_out_of_their_ranges_are_errors() {
        let reason = |from: &str, to: &str| {
            let text = VERSION_1.replacen(from, to, 1);
            assert_ne!(text, VERSION_1);
            read(&text).unwrap_err().to_string()
        };
        for (from, to, wanted) in [
            (
                "\"accuracy\": 0.5",
                "\"accuracy\": 1.5",
                "the accuracy of the run `lora` is",
            ),
            (
                "[[1, 0]",
                "[[18446744073709551615, 1]",
                "the confusion matrix of the run",
            ),
            ("31.0", "-1", "the times of the run `lora` are out of range"),
            (
                "\"train_loss\": 0.7",
                "\"train_loss\": 1e999",
                "number out of range",
            ),
            ("\"seed\": 0", "\"seed\": -1", "expected u64"),
            ("12", "9007199254740993", "the parameters of the run"),
        ] {
            let error = reason(from, to);
            assert!(error.contains(wanted), "{error}");
        }
        for text in ["", "{", "[[[[", "null", "{\"version\": 1}", "\u{0}"] {
            assert!(
                matches!(read(text), Err(EvaluationError::Format { .. })),
                "{text}"
            );
        }
        assert!(read(&"[".repeat(100_000)).is_err());
        let cut = |length| read(&VERSION_1[..length]).unwrap_err().to_string();
        for length in 0..VERSION_1.len() {
            assert!(!cut(length).is_empty());
        }
    }

    #[test]
    fn a_loss_that_is_nan_survives_a_round_trip() {
        let mut report = with_runs(&[("sft", 0, 0.2)]);
        report.runs[0].epochs[0].train_loss = f64::NAN;
        report.runs[0].epochs[0].valid_loss = Some(f64::INFINITY);
        let epoch = &read(&report.to_json().unwrap()).unwrap().runs[0].epochs[0];
        assert!(epoch.train_loss.is_nan() && epoch.valid_loss.is_none());
    }

    #[test]
    fn without_times_leaves_out_what_differs_between_executions() {
        let report = with_runs(&[("sft", 0, 0.5)]);
        let mut other = report.clone();
        other.runs[0].train_seconds = 1.0;
        other.runs[0].seconds_per_step = 2.0;
        other.runs[0].peak_memory_bytes = Some(3);
        other.runs[0].epochs[0].seconds = 4.0;
        assert_eq!(other.without_times(), report.without_times());
        other.runs[0].accuracy = 0.6;
        assert_ne!(other.without_times(), report.without_times());
    }
}
