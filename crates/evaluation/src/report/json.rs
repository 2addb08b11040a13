//! `report.json`: what the runs of one command measured. The format is versioned, and a version
//! only ever gains fields.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;
use crate::files::write_atomically;
use crate::report::details::Tried;
use crate::report::prefer::Prefer;
use crate::report::run::{Failure, Run};
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
    /// The same runs on fewer training images, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few: Option<Few>,
}

/// The same methods and seeds as those of a report, trained on fewer images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Few {
    /// Training images per class.
    pub per_class: usize,
    /// Name of the folder with their own report, which is beside this one.
    #[serde(default)]
    pub folder: String,
    /// The finished runs. Their own report has their files and pictures.
    pub runs: Vec<Run>,
    /// Runs that failed, with their errors.
    #[serde(default)]
    pub failed: Vec<Failure>,
    /// Whether the command was interrupted before all of these runs were finished.
    #[serde(default)]
    pub interrupted: bool,
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

    /// Whether the command was interrupted before all runs, those on fewer images included, were
    /// finished.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted || self.few.as_ref().is_some_and(|few| few.interrupted)
    }

    /// The runs that failed, those on fewer images included.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        let few = self.few.iter().flat_map(|few| &few.failed);
        self.failed.iter().chain(few)
    }

    /// A copy without what differs from one execution to the next: times and memory, and what they
    /// depend on.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let mut report = self.clone();
        let few = report.few.iter_mut().flat_map(|few| &mut few.runs);
        for run in report.runs.iter_mut().chain(few) {
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
    use crate::metrics::Confusion;

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

    #[test]
    fn runs_on_fewer_images_are_read_checked_and_compared_like_the_others() {
        let mut report = with_runs(&[("sft", 0, 0.5)]);
        report.few = Some(Few {
            per_class: 25,
            folder: "few-25".to_owned(),
            runs: with_runs(&[("sft", 0, 0.4)]).runs,
            failed: Vec::new(),
            interrupted: false,
        });
        assert_eq!(read(&report.to_json().unwrap()).unwrap(), report);
        let mut other = report.clone();
        other.few.as_mut().unwrap().runs[0].train_seconds = 7.0;
        assert_eq!(other.without_times(), report.without_times());
        other.few.as_mut().unwrap().runs[0].accuracy = 1.5;
        let error = read(&other.to_json().unwrap()).unwrap_err().to_string();
        assert!(error.contains("the accuracy of the run `sft`"), "{error}");
    }
}
