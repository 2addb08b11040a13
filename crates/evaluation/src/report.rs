//! `report.json`: what a comparison measured, stable and versioned.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;

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
}

/// One epoch of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy of the training images.
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

    /// A copy without what differs from one execution to the next: times and memory.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let mut report = self.clone();
        for run in &mut report.runs {
            run.train_seconds = 0.0;
            run.seconds_per_step = 0.0;
            run.peak_memory_bytes = None;
            for epoch in &mut run.epochs {
                epoch.seconds = 0.0;
            }
        }
        report
    }
}

/// Writes a file: to a temporary name in the same folder, synced, then renamed.
///
/// # Errors
///
/// [`EvaluationError::Io`] where it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EvaluationError> {
    let io = |source| EvaluationError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new("."))).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let everyone_reads = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(everyone_reads).map_err(io)?;
    }
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
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

    fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write_atomically(&path, text.as_bytes()).unwrap();
        (folder, path)
    }

    #[test]
    fn version_1_is_read_and_comes_back() {
        let (folder, path) = folder_with(VERSION_1);
        let report = Report::read(&path).unwrap();
        assert_eq!(report.runs[0].epochs[0].valid_accuracy, Some(0.8));
        assert_eq!(report.runs[0].confusion, [[1, 0], [1, 0]]);
        write_atomically(&path, report.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
        // Nothing temporary stays behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_versions_and_files_are_refused() {
        let (_folder, path) = folder_with(&VERSION_1.replace("\"version\": 1", "\"version\": 2"));
        let error = Report::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("is a report of version 2; this program reads version 1"),
            "{error}"
        );
        let (_folder, path) = folder_with("[]");
        assert!(matches!(
            Report::read(&path),
            Err(EvaluationError::Format { .. })
        ));
    }

    #[test]
    fn the_page_survives_strange_reports() {
        let mut report: Report = serde_json::from_str(VERSION_1).unwrap();
        report.dataset.classes[0] = "<script>".to_owned();
        report.runs[0].epochs[0].train_loss = f64::NAN;
        report.runs[0].peak_memory_bytes = None;
        let page = crate::html(&report).unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        report.runs.clear();
        assert!(
            crate::html(&report)
                .unwrap()
                .contains("No run has finished.")
        );
        crate::picture(&report).unwrap();
        // Titles and the line under them.
        assert_eq!(crate::table(&report).lines().count(), 2);
    }
}
