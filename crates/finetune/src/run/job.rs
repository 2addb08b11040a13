//! A run that is to be done.

use std::time::SystemTime;

use crate::config::RunConfig;
use crate::folder::RunFolder;

/// A run that is to be done, and where its files go.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What to run.
    pub config: &'a RunConfig,
    /// Where its files go.
    pub folder: &'a RunFolder,
    /// When the run began to start up; the report gives the time from then to the first step.
    pub started: SystemTime,
}
