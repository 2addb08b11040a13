//! A job is what one process measures; it answers with [`Measured`]. `pytorch.py` reads and writes
//! the same JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use finetune::machine::precision::Precision;
use serde::{Deserialize, Serialize};

/// The implementation that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// `finetune`.
    Ours,
    /// PyTorch, and HF PEFT for `lora`.
    Pytorch,
    /// Burn's `apply_lora` in finetune's training loop.
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

/// PyTorch's memory layouts. Which one is faster depends on model, size and processor.
pub(crate) const VARIANTS: [&str; 2] = ["contiguous", "channels_last"];

/// The same layouts with `torch.compile`.
pub(crate) const COMPILED: [&str; 2] = ["contiguous compiled", "channels_last compiled"];

/// The two ways in which PyTorch computes products of `f32` in bfloat16, with either layout:
/// `torch.autocast`, whose activations are bfloat16 too, and
/// `torch.set_float32_matmul_precision("medium")`.
pub(crate) const HALVED: [&str; 4] = [
    "contiguous autocast",
    "channels_last autocast",
    "contiguous medium",
    "channels_last medium",
];

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Training steps on decoded images.
    Step,
    /// A whole run: images, training and test.
    Run,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) model: String,
    pub(crate) method: String,
    /// Side length of the images, pixels.
    pub(crate) size: usize,
    /// Side length of the centre crop as a share of the resized image's.
    pub(crate) crop: f32,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
    pub(crate) classes: usize,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    /// How PyTorch computes: one of [`VARIANTS`] or [`COMPILED`]; empty for the other sides.
    #[serde(default)]
    pub(crate) variant: String,
    /// The precision of products on our side; PyTorch's is part of its variant.
    #[serde(default)]
    pub(crate) precision: Precision,
    /// Names of the layers with an adapter; empty for the model's default.
    #[serde(default)]
    pub(crate) targets: Vec<String>,
    /// File with the weights that both sides start from.
    pub(crate) weights: PathBuf,
    pub(crate) rank: usize,
    pub(crate) alpha: f64,
    pub(crate) learning_rate: f64,
    /// Step jobs: number of steps.
    pub(crate) steps: usize,
    /// Step jobs: training images per class.
    pub(crate) per_class: usize,
    /// Step jobs: file with the images' bytes, shape `[images, size, size, 3]`.
    pub(crate) pixels: PathBuf,
    /// Step jobs: the class of each image.
    pub(crate) labels: Vec<usize>,
    /// Step jobs: the order in which the images are used.
    pub(crate) order: Vec<usize>,
    /// Whole runs: folder with `train` and `test`.
    pub(crate) data: PathBuf,
    /// Whole runs: number of epochs.
    pub(crate) epochs: usize,
}

/// What one process measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Duration of each step (batch, forward and backward pass, update), seconds.
    pub(crate) step_seconds: Vec<f64>,
    /// Cross-entropy of each step's batch.
    pub(crate) losses: Vec<f64>,
    /// Number of trainable parameters.
    pub(crate) trainable: u64,
    /// Highest resident memory of the process.
    pub(crate) peak_bytes: u64,
    /// Resident memory of the program and its libraries, before images and weights are loaded.
    pub(crate) rest_bytes: u64,
    /// Whole runs: duration of the training.
    #[serde(default)]
    pub(crate) train_seconds: Option<f64>,
    /// Whole runs: time from the start of the process to its end.
    #[serde(default)]
    pub(crate) whole_seconds: Option<f64>,
    /// Whole runs: share of the test images that are classified correctly.
    #[serde(default)]
    pub(crate) accuracy: Option<f64>,
    /// Runs of `finetune`: time from the start of the command to its first training step.
    #[serde(default)]
    pub(crate) startup_seconds: Option<f64>,
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
}
