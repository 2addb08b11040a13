//! A run that is to be done.

use std::time::SystemTime;

use crate::config::RunConfig;
use crate::folder::{Lock, RunFolder};
use crate::identity::Inputs;

/// A run that is to be done, and where its files go.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What to run.
    pub config: &'a RunConfig,
    /// Where its files go.
    pub folder: &'a RunFolder,
    /// When the run began to start up; the report gives the time from then to the first step.
    pub started: SystemTime,
    /// The base weights and images that the run must have; what is `None` is not checked.
    pub inputs: &'a Inputs,
    /// The lock of the folder. A launcher that does the run in another process passes it on
    /// ([`Lock::share`]), so that the folder is in use as long as any of the processes runs.
    pub lock: Option<&'a Lock>,
    /// Ends the run after so many steps: it is a trial that shows how long the run would take.
    pub trial: Option<usize>,
}
