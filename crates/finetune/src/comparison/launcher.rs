//! Who does the runs of a comparison.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use finetune_evaluation::Run;

use crate::error::Error;
use crate::run::{Job, Observer, Phase, run};
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

/// A run that a launcher is to do, and its position.
#[derive(Debug, Clone, Copy)]
pub struct Queued<'a> {
    /// The run.
    pub job: Job<'a>,
    /// Its position among all runs.
    pub position: Position,
}

/// Does the runs of a comparison, for example each in a process of its own.
pub trait Launcher {
    /// The most runs that it does at the same time.
    fn jobs(&self) -> usize;

    /// Does the runs of a queue, and calls `done` with the index of each as soon as it has ended: with
    /// its result, or with the reason why it failed, which does not keep the others from being done. Runs
    /// begin in the order of the queue, each after [`Job::check_weights`]; the number of those that are
    /// done at the same time is [`Self::jobs`], or that of the queue if it is shorter.
    ///
    /// If the observer requests a stop, those that are being done are saved and end, and no other one
    /// begins.
    ///
    /// # Errors
    ///
    /// The first error of `done`, after which no run goes on.
    fn run<O: Observer>(
        &mut self,
        queue: &[Queued<'_>],
        observer: &mut O,
        done: &mut impl FnMut(usize, Result<Run, Error>, &mut O) -> Result<(), Error>,
    ) -> Result<(), Error>;

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

/// Does all runs in this process, one after the other. The peak memory that the report shows is then the
/// process's own, which never falls from one run to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl InProcess {
    fn one(job: &Job<'_>, observer: &mut impl Observer) -> Result<Run, Error> {
        job.check_weights()?;
        let job = Job {
            started: job.started.or_else(|| Some(SystemTime::now())),
            ..*job
        };
        observer.on_phase(Phase::Images);
        let mut watch = |decoded, images| observer.on_images(decoded, images);
        let images = job.config.images_watched(&mut watch)?;
        run(&job, &images, observer)
    }
}

impl Launcher for InProcess {
    fn jobs(&self) -> usize {
        1
    }

    fn run<O: Observer>(
        &mut self,
        queue: &[Queued<'_>],
        observer: &mut O,
        done: &mut impl FnMut(usize, Result<Run, Error>, &mut O) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (index, queued) in queue.iter().enumerate() {
            if observer.stop_requested() {
                break;
            }
            let outcome = Self::one(&queued.job, observer);
            done(index, outcome, observer)?;
        }
        Ok(())
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
