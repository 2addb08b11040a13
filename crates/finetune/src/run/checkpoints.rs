//! When a run writes checkpoints, and which of them it retains.

use std::path::Path;
use std::time::{Duration, Instant};

use finetune_files::{link, write_whole};
use finetune_training::Checkpoint;

use super::job::Job;
use crate::config::RunConfig;
use crate::error::Error;
use crate::folder::RunFolder;

/// The checkpoints of a run.
#[derive(Debug)]
pub(super) struct Checkpoints<'a> {
    config: &'a RunConfig,
    folder: &'a RunFolder,
    /// What the run was started with, as JSON.
    inputs: String,
    /// Minimum time between two checkpoints.
    interval: Duration,
    /// How many of the newest epochs retain a checkpoint of their own. The best epoch retains its
    /// checkpoint as well.
    retain: usize,
    written: Instant,
}

impl<'a> Checkpoints<'a> {
    /// The checkpoints of a run that starts now.
    ///
    /// # Errors
    ///
    /// None for the inputs of this version.
    pub(super) fn new(job: &Job<'a>) -> Result<Self, Error> {
        let Job { config, folder, .. } = *job;
        Ok(Self {
            config,
            folder,
            inputs: serde_json::to_string(&job.inputs.without_contents())?,
            interval: Duration::from_secs(config.checkpoint_seconds),
            retain: config.keep_checkpoints,
            written: Instant::now(),
        })
    }

    /// Whether one should be written now.
    pub(super) fn due(&self) -> bool {
        self.retain > 0 || self.written.elapsed() >= self.interval
    }

    /// Writes one, and removes those that are not retained.
    pub(super) fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let newest = self.folder.checkpoint(self.config);
        let about = Some(self.inputs.as_str());
        let write = |temporary: &Path| {
            let written = checkpoint.write(temporary, about);
            written.map_err(std::io::Error::other)
        };
        if self.retain > 0 && !checkpoint.is_within_epoch() {
            let own = self.of_epoch(checkpoint.epochs());
            write_whole(&own, write).map_err(Error::io("write", &own))?;
            link(&own, &newest).map_err(Error::io("write", &newest))?;
        } else {
            write_whole(&newest, write).map_err(Error::io("write", &newest))?;
        }
        let epochs = self.folder.checkpointed_epochs(self.config);
        let old = epochs.len().saturating_sub(self.retain);
        for epoch in &epochs[..old] {
            if checkpoint.best_epoch() != Some(*epoch) {
                let path = self.of_epoch(*epoch);
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        self.written = Instant::now();
        Ok(())
    }

    fn of_epoch(&self, epoch: usize) -> std::path::PathBuf {
        self.folder.epoch_checkpoint(self.config, epoch)
    }
}
