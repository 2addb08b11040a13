//! What is measured in one process, and what comes back. `pytorch.py` reads and writes the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// finetune.
    Ours,
    /// PyTorch, with HF PEFT for `lora`.
    Pytorch,
    /// Burn's own `apply_lora`, in our loop.
    Burn,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Pytorch => "PyTorch",
            Self::Burn => "Burn's `apply_lora`",
        }
    }
}

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Some training steps on decoded images.
    Step,
    /// Images, training and test.
    Run,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) model: String,
    pub(crate) method: String,
    /// Side of the images, pixels.
    pub(crate) size: usize,
    /// Share of the resized image's sides that the centre crop keeps.
    pub(crate) crop: f32,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
    pub(crate) classes: usize,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    /// What both sides start from.
    pub(crate) weights: PathBuf,
    pub(crate) rank: usize,
    pub(crate) alpha: f64,
    pub(crate) learning_rate: f64,
    /// Of a step job: how many steps, training images of each class, their bytes
    /// (`[images, size, size, 3]`), labels and the order in which they come.
    pub(crate) steps: usize,
    pub(crate) per_class: usize,
    pub(crate) pixels: PathBuf,
    pub(crate) labels: Vec<usize>,
    pub(crate) order: Vec<usize>,
    /// Of a run: folder with `train` and `test`, and passes over the training images.
    pub(crate) data: PathBuf,
    pub(crate) epochs: usize,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Duration of each step: batch, forward, backward, update.
    pub(crate) step_seconds: Vec<f64>,
    /// Cross-entropy of each step's batch.
    pub(crate) losses: Vec<f64>,
    /// Parameters that train.
    pub(crate) trainable: u64,
    /// High-water mark of the process's resident memory.
    pub(crate) peak_bytes: u64,
    /// Resident memory before images and weights: program and libraries.
    pub(crate) rest_bytes: u64,
    /// Of a run: duration of the training, and of all from the start of the process.
    #[serde(default)]
    pub(crate) train_seconds: Option<f64>,
    #[serde(default)]
    pub(crate) whole_seconds: Option<f64>,
    /// Of a run: share of the test images that are right.
    #[serde(default)]
    pub(crate) accuracy: Option<f64>,
    /// Of a run of ours: from the start of the command to its first training step.
    #[serde(default)]
    pub(crate) startup_seconds: Option<f64>,
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
}
