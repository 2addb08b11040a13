//! Keeps a run's checkpoints while it goes on.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use finetune_evaluation::write_atomically;
use finetune_training::{Checkpoint, Epoch, Observer, Step};

/// Passes everything on to another observer, and writes checkpoints.
#[derive(Debug)]
pub struct Keeper<'a, O> {
    observer: &'a mut O,
    path: &'a Path,
    every: Duration,
    last: Instant,
    parent: Option<u32>,
}

impl<'a, O: Observer> Keeper<'a, O> {
    /// Writes to `path`, at most once in `every`.
    pub fn new(observer: &'a mut O, path: &'a Path, every: Duration) -> Self {
        Self {
            observer,
            path,
            every,
            last: Instant::now(),
            parent: parent(),
        }
    }
}

impl<O: Observer> Keeper<'_, O> {
    /// A run whose comparison was killed would write into a folder that somebody resumes.
    fn end_with_parent(&self) {
        if parent() != self.parent {
            std::process::exit(1);
        }
    }
}

impl<O: Observer> Observer for Keeper<'_, O> {
    fn on_features(&mut self, done: usize, images: usize) -> ControlFlow<()> {
        self.end_with_parent();
        self.observer.on_features(done, images)
    }

    fn on_start(&mut self) {
        self.observer.on_start();
    }

    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        self.end_with_parent();
        self.observer.on_step(step)
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        self.observer.on_epoch(epoch);
    }

    fn keeps_checkpoints(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let bytes = checkpoint.to_bytes().map_err(|error| error.to_string())?;
        write_atomically(self.path, &bytes).map_err(|error| error.to_string())?;
        self.last = Instant::now();
        Ok(())
    }
}

/// The process that started this one.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // as elsewhere
fn parent() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

/// The process that started this one: not asked for here.
#[cfg(not(unix))]
fn parent() -> Option<u32> {
    None
}
