//! The interface through which a run is watched and stopped.

use std::ops::ControlFlow;

use super::checkpoint::Checkpoint;
use super::record::{Epoch, Step};

/// Watches a run and may stop it. All methods do nothing by default; `()` is such an observer.
pub trait Observer {
    /// Called while features of frozen layers are computed for the cache, before the first step:
    /// `done` of `images` images are done. `Break` ends the run as [`TrainingError::Stopped`].
    ///
    /// [`TrainingError::Stopped`]: crate::TrainingError::Stopped
    fn on_features(&mut self, _done: usize, _images: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called right before the first step, or before the features are computed for a method that is not
    /// trained in steps.
    fn on_start(&mut self) {}

    /// Called before a method is computed at once, with what is going to be computed.
    fn on_fit(&mut self, _plan: &str) {}

    /// Asked again and again while a method is computed at once: whether to end the run as
    /// [`TrainingError::Stopped`].
    ///
    /// [`TrainingError::Stopped`]: crate::TrainingError::Stopped
    fn wants_stop(&self) -> bool {
        false
    }

    /// Called after each step; `Break` ends the run.
    fn on_step(&mut self, _step: &Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called after each epoch, including one that [`on_step`](Self::on_step) ended.
    fn on_epoch(&mut self, _epoch: &Epoch) {}

    /// Called if the run ends early because no epoch after `best` (from 1) was better.
    fn on_patience(&mut self, _best: usize) {}

    /// The memory of the process in bytes, for the record of an epoch.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }

    /// Whether to call [`on_checkpoint`](Self::on_checkpoint) after this epoch. It is always called if
    /// the run is stopped.
    fn wants_checkpoint(&self) -> bool {
        false
    }

    /// Called with the state of the run after an epoch, other than the last one, and where the run is
    /// stopped within an epoch.
    ///
    /// # Errors
    ///
    /// An error message, with which the run ends as [`TrainingError::WriteCheckpoint`].
    ///
    /// [`TrainingError::WriteCheckpoint`]: crate::TrainingError::WriteCheckpoint
    fn on_checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<(), String> {
        Ok(())
    }
}

impl Observer for () {}
