//! One run, without others to compare it with.

use std::path::Path;

use finetune_evaluation::Run;

use super::launcher::InProcess;
use super::runs::Comparison;
use crate::config::RunConfig;
use crate::error::Error;
use crate::run::Observer;

/// Does one run in this process and writes the folder of a comparison with this run only.
///
/// # Errors
///
/// As [`Comparison::run`], or the run fails or is stopped.
pub fn train(
    config: &RunConfig,
    folder: &Path,
    observer: &mut impl Observer,
) -> Result<Run, Error> {
    let mut report = Comparison::new(folder, [config.clone()]).run(&mut InProcess, observer)?;
    match (report.runs.pop(), report.failed.pop()) {
        (Some(run), _) => Ok(run),
        (None, Some(failure)) => Err(Error::Process(failure.error)),
        (None, None) => Err(Error::Stopped("stopped before the first step")),
    }
}
