//! Runs whose results are not kept: their files are temporary.

use finetune_evaluation::Run;
use tempfile::TempDir;

use super::launcher::{Launcher, Position, Queued};
use crate::config::RunConfig;
use crate::error::Error;
use crate::folder::RunFolder;
use crate::identity::Inputs;
use crate::run::{Job, Observer, Trial};

/// Runs to try, and how they are numbered.
#[derive(Debug)]
pub(super) struct Trials<'a> {
    pub(super) runs: &'a [RunConfig],
    pub(super) trial: Trial,
    /// Number of trials before these.
    pub(super) before: usize,
    /// Number of all trials.
    pub(super) all: usize,
}

/// Does the runs and returns what became of each, in order. What was not begun because a stop was requested
/// is [`Error::Stopped`].
///
/// # Errors
///
/// There is no temporary folder, or `ended` returns an error; it is called as soon as a run has ended, with
/// its index.
pub(super) fn try_all<L: Launcher, O: Observer>(
    trials: &Trials<'_>,
    launcher: &mut L,
    observer: &mut O,
    ended: &mut impl FnMut(usize, Result<Run, Error>, &mut O) -> Result<Run, Error>,
) -> Result<Vec<Run>, Error> {
    let runs = trials.runs;
    let temporary = std::env::temp_dir();
    let scratch = runs.iter().map(|_| tempfile::tempdir());
    let scratch: Vec<TempDir> = scratch
        .collect::<Result<_, _>>()
        .map_err(Error::io("create a folder in", &temporary))?;
    let folders: Vec<RunFolder> = scratch
        .iter()
        .map(|folder| RunFolder::new(folder.path(), false))
        .collect();
    let inputs = Inputs::default();
    let queued = runs.iter().zip(&folders).enumerate();
    let queue: Vec<Queued<'_>> = queued
        .map(|(index, (config, folder))| Queued {
            job: Job {
                config,
                folder,
                started: None,
                inputs: &inputs,
                lock: None,
                trial: Some(trials.trial),
            },
            position: Position {
                number: trials.before + index + 1,
                runs: trials.all,
            },
        })
        .collect();
    let mut results: Vec<Option<Run>> = runs.iter().map(|_| None).collect();
    launcher.run(&queue, observer, &mut |index, outcome, observer| {
        results[index] = Some(ended(index, outcome, observer)?);
        Ok(())
    })?;
    let whole: Option<Vec<Run>> = results.into_iter().collect();
    whole.ok_or(Error::Stopped("stopped during the trials"))
}
