//! `report.json`: what a comparison measured, stable and versioned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::EvaluationError;
use crate::files::write_atomically;

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// All runs of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the format.
    pub version: u32,
    /// The command that makes these runs again.
    #[serde(default)]
    pub command: String,
    /// The images.
    pub dataset: DatasetInfo,
    /// The model's name.
    pub model: String,
    /// Where its weights came from.
    #[serde(default)]
    pub weights: String,
    /// The device's name.
    pub device: String,
    /// Threads that computed.
    #[serde(default)]
    pub threads: usize,
    /// The finished runs.
    pub runs: Vec<Run>,
    /// Runs that failed, and why.
    #[serde(default)]
    pub failed: Vec<Failure>,
    /// Whether the command was stopped before all runs were done.
    #[serde(default)]
    pub interrupted: bool,
}

/// The images of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Folder, or `embedded:signs`.
    pub path: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Training images, validation images left out.
    pub train: usize,
    /// Validation images.
    pub valid: usize,
    /// Test images.
    pub test: usize,
    /// Images that could not be read and were left out, of all parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedImage>,
}

/// An image that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedImage {
    /// Its name.
    pub image: String,
    /// Why.
    pub reason: String,
}

/// One run: one method, one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The method's name.
    pub method: String,
    /// Its seed.
    pub seed: u64,
    /// Training images of each class, where fewer than all were taken.
    #[serde(default)]
    pub train_per_class: Option<usize>,
    /// Share of the test images that are right.
    pub accuracy: f64,
    /// Mean F1 of the classes.
    pub macro_f1: f64,
    /// Share of each class's test images that are right.
    #[serde(default)]
    pub per_class_accuracy: Vec<f64>,
    /// Counts of test images by right class (row) and predicted class (column).
    pub confusion: Vec<Vec<u64>>,
    /// Its epochs.
    pub epochs: Vec<Epoch>,
    /// Parameters that were trained.
    pub trainable_parameters: u64,
    /// All parameters.
    pub total_parameters: u64,
    /// Optimiser steps.
    #[serde(default)]
    pub steps: u64,
    /// Duration of the training, seconds.
    pub train_seconds: f64,
    /// Median duration of a step, seconds.
    pub seconds_per_step: f64,
    /// Time from the start of the command (of the run, where it is not a comparison's first) to its
    /// first training step, seconds: images, weights, adapters, features of frozen layers.
    #[serde(default)]
    pub startup_seconds: Option<f64>,
    /// High-water mark of the run's resident memory, bytes; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Size of the smallest file that, with the base weights, gives the model back.
    pub artifact_bytes: u64,
    /// Files that were written, relative to the report.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// What was on: rank, learning rate, share, …
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// How the learning rate was found, where it was looked for.
    #[serde(default)]
    pub range_test: Option<RangeTest>,
}

/// A learning rate range test: the training loss while the rate rises step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeTest {
    /// Learning rate of each step.
    pub rates: Vec<f64>,
    /// Smoothed loss of each step.
    pub losses: Vec<f64>,
    /// The rate that was chosen.
    pub suggestion: f64,
}

/// One epoch of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy of the training images; not a number (`null` in JSON) where training
    /// diverged.
    #[serde(deserialize_with = "number_or_null")]
    pub train_loss: f64,
    /// Share of the training images that were right.
    #[serde(default)]
    pub train_accuracy: f64,
    /// Mean cross-entropy of the validation images.
    #[serde(default)]
    pub valid_loss: Option<f64>,
    /// Share of the validation images that were right.
    #[serde(default)]
    pub valid_accuracy: Option<f64>,
    /// Learning rate at the end.
    #[serde(default)]
    pub learning_rate: f64,
    /// Duration.
    pub seconds: f64,
    /// Training images a second, validation left out.
    #[serde(default)]
    pub images_per_second: f64,
    /// High-water mark of the process's memory by then, bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// JSON knows no NaN; what is written as `null` comes back as one.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The method's name.
    pub method: String,
    /// Its seed.
    pub seed: u64,
    /// Why.
    pub error: String,
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, is no report, or one of another version.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let text = std::fs::read_to_string(path).map_err(|source| EvaluationError::Io {
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
            });
        }
        serde_json::from_str(&text).map_err(format)
    }

    /// The report as JSON text.
    ///
    /// # Errors
    ///
    /// None for a report that can exist; what serde may say otherwise.
    pub fn to_json(&self) -> Result<String, EvaluationError> {
        serde_json::to_string_pretty(self).map_err(|error| EvaluationError::Format {
            path: PathBuf::from("report.json"),
            reason: error.to_string(),
        })
    }

    /// Writes it as `report.json` into a folder, which must exist. Returns the file's path.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Io`] where it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, EvaluationError> {
        let path = folder.join("report.json");
        write_atomically(&path, self.to_json()?.as_bytes())?;
        Ok(path)
    }

    /// A copy without what differs from one execution to the next: times and memory.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let mut report = self.clone();
        for run in &mut report.runs {
            run.train_seconds = 0.0;
            run.seconds_per_step = 0.0;
            run.startup_seconds = None;
            run.peak_memory_bytes = None;
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

    /// A report as design and readers know it: fields that were added later are left out.
    const VERSION_1: &str = r#"{"version": 1,
        "dataset": {"path": "d", "classes": ["a", "b"], "train": 4, "valid": 0, "test": 2},
        "model": "m", "device": "flex",
        "runs": [{"method": "lora", "seed": 0, "accuracy": 0.5, "macro_f1": 0.4,
            "confusion": [[1, 0], [1, 0]],
            "epochs": [{"epoch": 1, "train_loss": 0.7, "valid_accuracy": 0.8, "seconds": 3.1}],
            "trainable_parameters": 12, "total_parameters": 56, "train_seconds": 31.0,
            "seconds_per_step": 0.19, "peak_memory_bytes": 123, "artifact_bytes": 45}]}"#;

    /// [`VERSION_1`] with runs like its own: `(method, seed, accuracy)`.
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
    fn version_1_is_read_and_comes_back() {
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
    fn other_versions_and_files_are_refused() {
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
    fn a_loss_that_is_not_a_number_comes_back() {
        let mut report = with_runs(&[("sft", 0, 0.2)]);
        report.runs[0].epochs[0].train_loss = f64::NAN;
        report.runs[0].epochs[0].valid_loss = Some(f64::INFINITY);
        let epoch = &read(&report.to_json().unwrap()).unwrap().runs[0].epochs[0];
        assert!(epoch.train_loss.is_nan() && epoch.valid_loss.is_none());
    }

    #[test]
    fn what_changes_between_executions_is_left_out() {
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
