//! What can be seen of a run while it goes on.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::run::checkpoint::Checkpoint;
use crate::run::exact;

/// One finished epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy over the epoch's images, as they were learnt from.
    #[serde(with = "exact")]
    pub train_loss: f64,
    /// Share of them that were right at that moment.
    #[serde(with = "exact")]
    pub train_accuracy: f64,
    /// Mean cross-entropy of the validation images after the epoch.
    #[serde(with = "exact::option")]
    pub valid_loss: Option<f64>,
    /// Share of them that were right.
    #[serde(with = "exact::option")]
    pub valid_accuracy: Option<f64>,
    /// Learning rate of the epoch's last step.
    #[serde(with = "exact")]
    pub learning_rate: f64,
    /// Duration, validation included.
    pub seconds: f64,
    /// Training images a second, validation left out.
    #[serde(default)]
    pub images_per_second: f64,
    /// The process's memory, bytes, as the observer tells it.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// One finished step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Step of the run, from 1.
    pub step: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Epoch, from 1.
    pub epoch: usize,
    /// Cross-entropy of the step's images.
    pub loss: f64,
    /// Share of them that was right.
    pub accuracy: f64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// How many images it learnt from.
    pub images: usize,
    /// Its duration, seconds.
    pub seconds: f64,
}

/// Watches a run, and may stop it.
pub trait Observer {
    /// Called while the features that frozen layers make of the images are computed, before the
    /// first step: how many images are `done` of `images`. `Break` gives them up, and with them the
    /// rounding of those that were to be f16.
    fn on_features(&mut self, _done: usize, _images: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called when all is ready for the first step.
    fn on_start(&mut self) {}

    /// Called after each step; `Break` ends the run after it.
    fn on_step(&mut self, _step: &Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called after each epoch, the broken-off one included.
    fn on_epoch(&mut self, _epoch: &Epoch) {}

    /// Called where a run ends before its last epoch because none was better than `best` for long
    /// enough.
    fn on_patience(&mut self, _best: usize) {}

    /// The process's memory, bytes, for the record of an epoch.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }

    /// Whether [`on_checkpoint`](Self::on_checkpoint) is to be called after each whole epoch.
    fn keeps_checkpoints(&self) -> bool {
        false
    }

    /// Keeps a checkpoint in the place of the one before.
    ///
    /// # Errors
    ///
    /// A reason, which ends the run.
    fn on_checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<(), String> {
        Ok(())
    }
}

impl Observer for () {}
