//! Who does the runs of a comparison.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use finetune_evaluation::Run;

use crate::config::RunConfig;
use crate::error::Error;
use crate::folder::RunFolder;
use crate::identity::Inputs;
use crate::run::{Job, Observer, Phase, Trial, run};
use crate::weights::Pretraining;

/// The position of a run in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The run's number, from 1.
    pub number: usize,
    /// The number of runs.
    pub runs: usize,
}

/// `[2/5]`
impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{}/{}]", self.number, self.runs)
    }
}

/// Does the runs of a comparison, for example each in a process of its own.
pub trait Launcher {
    /// Does a run and waits for its result.
    ///
    /// # Errors
    ///
    /// The run failed; the comparison records why and continues with the next run.
    fn run(
        &mut self,
        job: &Job<'_>,
        position: Position,
        observer: &mut impl Observer,
    ) -> Result<Run, Error>;

    /// Pretrains a model whose weights are made on demand, by
    /// [`Pretraining::new`](crate::weights::Pretraining::new), and writes them to `out`.
    ///
    /// # Errors
    ///
    /// The pretraining failed, which ends the comparison.
    fn pretrain(
        &mut self,
        model: &str,
        out: &Path,
        observer: &mut impl Observer,
    ) -> Result<(), Error>;
}

/// Does a run whose result is not kept: its files are temporary.
///
/// # Errors
///
/// There is no temporary folder, or the run failed.
pub(super) fn try_run(
    config: &RunConfig,
    trial: Trial,
    position: Position,
    launcher: &mut impl Launcher,
    observer: &mut impl Observer,
) -> Result<Run, Error> {
    let temporary = std::env::temp_dir();
    let scratch = tempfile::tempdir().map_err(Error::io("create a folder in", &temporary))?;
    let job = Job {
        config,
        folder: &RunFolder::new(scratch.path(), false),
        started: SystemTime::now(),
        inputs: &Inputs::default(),
        lock: None,
        trial: Some(trial),
    };
    launcher.run(&job, position, observer)
}

/// Does all runs in this process. The peak memory that the report shows is then the process's own,
/// which never falls from one run to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Launcher for InProcess {
    fn run(
        &mut self,
        job: &Job<'_>,
        _: Position,
        observer: &mut impl Observer,
    ) -> Result<Run, Error> {
        observer.on_phase(Phase::Images);
        let mut watch = |decoded, images| observer.on_images(decoded, images);
        let images = job.config.images_watched(&mut watch)?;
        run(job, &images, observer)
    }

    fn pretrain(
        &mut self,
        model: &str,
        out: &Path,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        Pretraining::new(model)?.run(out, observer).map(drop)
    }
}
