//! How long runs will take and how much memory they need, predicted from a few steps of each method.

use std::time::SystemTime;

use finetune_data::Images;
use finetune_evaluation::Run;
use serde::Serialize;

use super::launcher::{Launcher, Position};
use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::folder::RunFolder;
use crate::identity::Inputs;
use crate::run::{Job, Observer, Trial};

/// Steps of a trial. The first ones take longer, so that the median counts.
const STEPS: usize = 12;

/// What is predicted of the runs of one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The method's name.
    pub method: String,
    /// Number of its runs: one per seed.
    pub runs: usize,
    /// Duration of one of them, seconds, from the start of its process to its end.
    pub seconds: f64,
    /// Highest resident memory, bytes; `None` if the system does not report it.
    pub peak_memory_bytes: Option<u64>,
}

/// Tries the first run of each method.
///
/// # Errors
///
/// A trial fails or is stopped.
pub(super) fn trials(
    runs: &[RunConfig],
    data: &Decoded,
    launcher: &mut impl Launcher,
    observer: &mut impl Observer,
) -> Result<Vec<Forecast>, Error> {
    let mut methods: Vec<(&RunConfig, usize)> = Vec::new();
    for run in runs {
        let same = |first: &RunConfig| first.method_name() == run.method_name();
        match methods.iter_mut().find(|(first, _)| same(first)) {
            Some((_, count)) => *count += 1,
            None => methods.push((run, 1)),
        }
    }
    let position = |index: usize| Position {
        number: index + 1,
        runs: methods.len(),
    };
    let mut forecasts = Vec::new();
    for (index, (run, count)) in methods.iter().enumerate() {
        let temporary = std::env::temp_dir();
        let scratch = tempfile::tempdir().map_err(Error::io("create a folder in", &temporary))?;
        let job = Job {
            config: run,
            folder: &RunFolder::new(scratch.path(), false),
            started: SystemTime::now(),
            inputs: &Inputs::default(),
            lock: None,
            trial: Some(Trial::Steps(STEPS)),
        };
        let trial = launcher.run(&job, position(index), observer)?;
        if observer.stop_requested() {
            return Err(Error::Stopped("stopped during the trials"));
        }
        forecasts.push(Forecast {
            method: run.method_name().to_owned(),
            runs: *count,
            seconds: seconds(run, &trial, data),
            peak_memory_bytes: trial.peak_memory_bytes,
        });
    }
    Ok(forecasts)
}

/// The duration of a run whose trial took so long: its start, its steps, a pass over the validation
/// images after each epoch, and the test.
#[allow(clippy::cast_precision_loss)]
fn seconds(run: &RunConfig, trial: &Run, data: &Decoded) -> f64 {
    let epochs = run.recipe.epochs as f64;
    let steps = epochs * run.recipe.steps_per_epoch(data.train.len()) as f64;
    let test = trial.test_seconds.unwrap_or(0.0);
    let valid = data.valid.as_ref().map_or(0, Images::len) as f64;
    let valid = test * valid / data.test.len().max(1) as f64;
    trial.startup_seconds.unwrap_or(0.0) + steps * trial.seconds_per_step + epochs * valid + test
}
