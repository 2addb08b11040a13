//! What a report says beside the results: scores of probabilities, mistakes, and what was tried.

use serde::{Deserialize, Serialize};

use crate::metrics::{Confusion, Probabilities};

/// What the probabilities of the classes say of the test images: see [`Probabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean of the classes' recalls.
    pub balanced_accuracy: f64,
    /// Share of the images whose class is among the five most probable ones.
    pub top_5: f64,
    /// Mean cross-entropy.
    pub log_loss: f64,
    /// Expected calibration error.
    pub calibration_error: f64,
}

impl Scores {
    /// The scores of a run; `None` without test images.
    #[must_use]
    pub fn of(confusion: &Confusion, probabilities: &Probabilities) -> Option<Self> {
        Some(Self {
            balanced_accuracy: confusion.balanced_accuracy(),
            top_5: probabilities.top_k_accuracy(5)?,
            log_loss: probabilities.log_loss()?,
            calibration_error: probabilities.calibration_error()?,
        })
    }
}

/// A test image that is classified wrongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its name.
    pub image: String,
    /// Index of its class.
    pub truth: usize,
    /// Index of the predicted class.
    pub predicted: usize,
    /// The probability of the predicted class.
    pub probability: f64,
    /// A small JPEG of it in base64, for the page.
    #[serde(default)]
    pub picture: String,
}

/// A training image, and what the augmentation does to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AugmentedImage {
    /// Index of its class.
    pub class: usize,
    /// A small JPEG of it in base64.
    pub original: String,
    /// Small JPEGs in base64 of it as some epochs show it.
    pub augmented: Vec<String>,
}

/// Settings that were tried for a method, to choose among them by validation images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The method.
    pub method: String,
    /// The settings, in words.
    pub settings: String,
    /// Number of epochs that they were tried for.
    pub epochs: usize,
    /// Share of the validation images that were classified correctly.
    pub accuracy: f64,
    /// Whether they were chosen.
    pub chosen: bool,
}
