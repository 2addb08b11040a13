//! Keeps what a run leaves behind while it goes on: checkpoints and TensorBoard's events.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use finetune_files::{link, write_whole};
use finetune_training::{Checkpoint, Epoch, Step};

use super::checkpoint_file;
use super::events::Events;
use super::observer::Observer;
use crate::config::RunConfig;
use crate::machine::memory;

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
pub(super) struct Keeper<'a, O> {
    observer: &'a mut O,
    keeping: &'a Keeping,
    events: Option<Events>,
    last: Instant,
}

impl<'a, O: Observer> Keeper<'a, O> {
    /// Keeps a run as `keeping` says.
    pub(super) fn new(observer: &'a mut O, keeping: &'a Keeping, events: Events) -> Self {
        Self {
            observer,
            keeping,
            events: Some(events),
            last: Instant::now(),
        }
    }

    /// Events are for looking at: a run does without where they cannot be written.
    fn note(&mut self, write: impl FnOnce(&mut Events) -> Result<()>) {
        if let Some(events) = &mut self.events
            && let Err(error) = write(events)
        {
            let text = format!("no more events for TensorBoard: {error:#}");
            self.observer.note(&text);
            self.events = None;
        }
    }
}

impl<O: Observer> finetune_training::Observer for Keeper<'_, O> {
    fn on_features(&mut self, done: usize, images: usize) -> ControlFlow<()> {
        self.observer.on_features(done, images)
    }

    fn on_start(&mut self) {
        self.observer.on_start();
    }

    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        let flow = self.observer.on_step(step);
        self.note(|events| events.step(step));
        flow
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        self.note(|events| events.epoch(epoch));
        self.observer.on_epoch(epoch);
    }

    fn on_patience(&mut self, best: usize) {
        self.observer.on_patience(best);
    }

    fn memory_bytes(&self) -> Option<u64> {
        memory::peak_memory_bytes()
    }

    fn keeps_checkpoints(&self) -> bool {
        self.keeping.last > 0 || self.last.elapsed() >= self.keeping.every
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let kept = self.keeping.keep(checkpoint);
        kept.map_err(|error| format!("{error:#}"))?;
        self.last = Instant::now();
        Ok(())
    }
}
