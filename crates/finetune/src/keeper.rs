//! Keeps what a run leaves behind while it goes on: checkpoints and TensorBoard's events.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use finetune_files::{link, write_whole};
use finetune_training::{Checkpoint, Epoch, Observer, Step};

use crate::config::RunConfig;
use crate::events::Events;
use crate::output::note;
use crate::process;
use crate::run::checkpoint_file;

/// Where and how often a run is kept.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// The newest checkpoint, which the run would go on from.
    pub path: PathBuf,
    /// Least time between two of them.
    pub every: Duration,
    /// How many epochs keep a checkpoint of their own, the newest ones; beside them the best one
    /// does.
    pub last: usize,
}

impl Keeping {
    /// How a run in `folder` is kept.
    #[must_use]
    pub fn of(config: &RunConfig, folder: &Path, with_seed: bool) -> Self {
        Self {
            path: folder.join(checkpoint_file(config, with_seed)),
            every: Duration::from_secs(config.checkpoint_seconds),
            last: config.keep_checkpoints,
        }
    }

    /// The checkpoint of an epoch's own.
    #[must_use]
    pub fn of_epoch(&self, epoch: usize) -> PathBuf {
        self.path
            .with_file_name(format!("{}_epoch{epoch}.safetensors", self.stem()))
    }

    /// The epochs that have one, in order.
    #[must_use]
    pub fn epochs(&self) -> Vec<usize> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let prefix = format!("{}_epoch", self.stem());
        let mut epochs: Vec<usize> = files
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                let number = name.strip_prefix(&prefix)?.strip_suffix(".safetensors")?;
                number.parse().ok()
            })
            .collect();
        epochs.sort_unstable();
        epochs
    }

    fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    fn keep(&self, checkpoint: &Checkpoint) -> Result<()> {
        let write = |temporary: &Path| checkpoint.write(temporary).map_err(std::io::Error::other);
        if self.last > 0 {
            let own = self.of_epoch(checkpoint.epochs());
            written(&own, write_whole(&own, write))?;
            written(&self.path, link(&own, &self.path))?;
        } else {
            written(&self.path, write_whole(&self.path, write))?;
        }
        let kept = self.epochs();
        let old = kept.len().saturating_sub(self.last);
        for epoch in &kept[..old] {
            if checkpoint.best_epoch() != Some(*epoch) {
                std::fs::remove_file(self.of_epoch(*epoch))?;
            }
        }
        Ok(())
    }
}

/// Says which file could not be written.
fn written<T>(path: &Path, outcome: std::io::Result<T>) -> Result<T> {
    outcome.with_context(|| format!("cannot write {}", path.display()))
}

/// Passes everything on to another observer, and writes checkpoints and events.
#[derive(Debug)]
pub struct Keeper<'a, O> {
    observer: &'a mut O,
    keeping: &'a Keeping,
    events: Option<Events>,
    last: Instant,
    parent: Option<u32>,
}

impl<'a, O: Observer> Keeper<'a, O> {
    /// Keeps a run as `keeping` says.
    pub fn new(observer: &'a mut O, keeping: &'a Keeping, events: Events) -> Self {
        Self {
            observer,
            keeping,
            events: Some(events),
            last: Instant::now(),
            parent: parent(),
        }
    }

    /// Events are for looking at: a run does without where they cannot be written.
    fn note(&mut self, write: impl FnOnce(&mut Events) -> Result<()>) {
        if let Some(events) = &mut self.events
            && let Err(error) = write(events)
        {
            note(&format!("no more events for TensorBoard: {error:#}"));
            self.events = None;
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
        self.note(|events| events.step(step));
        self.observer.on_step(step)
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        self.note(|events| events.epoch(epoch));
        self.observer.on_epoch(epoch);
    }

    fn on_patience(&mut self, best: usize) {
        self.observer.on_patience(best);
    }

    fn memory_bytes(&self) -> Option<u64> {
        process::peak_memory_bytes()
    }

    fn wants_checkpoint(&self) -> bool {
        self.keeping.last > 0 || self.last.elapsed() >= self.keeping.every
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let kept = self.keeping.keep(checkpoint);
        kept.map_err(|error| format!("{error:#}"))?;
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
