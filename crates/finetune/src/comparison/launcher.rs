//! Who does the runs of a comparison.

use std::path::Path;

use finetune_evaluation::Run;

use crate::error::Error;
use crate::run::{Job, Observer, run};
use crate::weights::Pretraining;

/// A run of a comparison and its position.
#[derive(Debug, Clone, Copy)]
pub struct Ticket<'a> {
    /// The run.
    pub job: Job<'a>,
    /// Its position among the runs of the comparison, from 1.
    pub position: usize,
    /// The number of runs of the comparison.
    pub runs: usize,
}

/// Does the runs of a comparison, for example each in a process of its own.
pub trait Launcher {
    /// Does a run and waits for its result.
    ///
    /// # Errors
    ///
    /// The run failed; the comparison records why and continues with the next run.
    fn run(&mut self, ticket: &Ticket<'_>, observer: &mut impl Observer) -> Result<Run, Error>;

    /// Pretrains a model whose weights are made on demand, and writes them to `out`.
    ///
    /// # Errors
    ///
    /// The pretraining failed, which ends the comparison.
    fn pretrain(
        &mut self,
        pretraining: &Pretraining,
        out: &Path,
        observer: &mut impl Observer,
    ) -> Result<(), Error>;
}

/// Does all runs in this process. The peak memory that the report shows is then the process's own,
/// which never falls from one run to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Launcher for InProcess {
    fn run(&mut self, ticket: &Ticket<'_>, observer: &mut impl Observer) -> Result<Run, Error> {
        let data = ticket.job.config.images()?;
        run(&ticket.job, &data, observer)
    }

    fn pretrain(
        &mut self,
        pretraining: &Pretraining,
        out: &Path,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        pretraining.run(out, observer).map(drop)
    }
}
