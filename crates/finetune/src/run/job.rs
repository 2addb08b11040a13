//! A run that is to be done.

use std::time::SystemTime;

use crate::config::RunConfig;
use crate::error::Error;
use crate::folder::{Lock, RunFolder};
use crate::identity::Inputs;

/// A run that is to be done, and where its files go.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What to run.
    pub config: &'a RunConfig,
    /// Where its files go.
    pub folder: &'a RunFolder,
    /// When the run began to start up; the report gives the time from then to the first step. `None` is
    /// when the run is begun.
    pub started: Option<SystemTime>,
    /// The base weights and images that the run must have; what is `None` is not checked.
    pub inputs: &'a Inputs,
    /// The lock of the folder. A launcher that does the run in another process passes it on
    /// ([`Lock::share`]), so that the folder is in use as long as any of the processes runs.
    pub lock: Option<&'a Lock>,
    /// What the run is for, if its result is not to be kept.
    pub trial: Option<Trial>,
}

impl Job<'_> {
    /// Checks that the base weights are those that the run must have: they may have changed since the
    /// comparison began, which may be long ago.
    ///
    /// # Errors
    ///
    /// They are others, or cannot be read.
    pub fn check_weights(&self) -> Result<(), Error> {
        match &self.inputs.weights {
            Some(weights) if !self.config.from_scratch => weights.verify(self.config),
            _ => Ok(()),
        }
    }
}

/// A run whose result is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It ends after so many steps, and shows how long the whole run would take.
    Steps(usize),
    /// It is tested with the validation images, to choose settings.
    Validation,
}
