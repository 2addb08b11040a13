//! What is measured of one run, as `report.json` has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::details::{AugmentedImage, Mistake, Scores};
use super::side_by_side::SideBySide;
use crate::metrics::Confusion;

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
    /// Median time per step, seconds; 0 if there were no steps.
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
