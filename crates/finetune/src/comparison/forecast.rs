//! How long runs will take and how much memory they need, predicted from a few steps of each method.

use finetune_data::Images;
use finetune_evaluation::Run;
use serde::Serialize;

use super::launcher::Launcher;
use super::trials::{Trials, try_all};
use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::run::{Observer, Trial};

/// Steps of a trial. The first ones take longer, so that the median counts.
const STEPS: usize = 12;

/// What is predicted of the runs of one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The method's name.
    pub method: String,
    /// Training images per class, if they are limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_per_class: Option<usize>,
    /// Number of its runs: one per seed.
    pub runs: usize,
    /// Duration of one of them, seconds, from the start of its process to its end.
    pub seconds: f64,
    /// Duration of one of its epochs, with the validation after it, seconds.
    pub epoch_seconds: f64,
    /// Highest resident memory, bytes; `None` if the system does not report it.
    pub peak_memory_bytes: Option<u64>,
    /// Number of runs that are done at the same time.
    pub at_once: usize,
}

/// Predicts how long all runs take together, seconds: each begins as soon as fewer than
/// [`at_once`](Forecast::at_once) are being done.
#[must_use]
pub fn together(forecasts: &[Forecast]) -> f64 {
    let at_once = forecasts.iter().map(|forecast| forecast.at_once).max();
    // When each of them is free for the next run.
    let mut free = vec![0.0_f64; at_once.unwrap_or(1).max(1)];
    let most = forecasts.iter().map(|forecast| forecast.runs).max();
    // A comparison trains all methods with one seed before it goes on to the next one.
    for seed in 0..most.unwrap_or(0) {
        for forecast in forecasts.iter().filter(|forecast| seed < forecast.runs) {
            if let Some(first) = free.iter_mut().min_by(|a, b| a.total_cmp(b)) {
                *first += forecast.seconds;
            }
        }
    }
    free.into_iter().fold(0.0, f64::max)
}

/// Tries the first run of each method, with as many at the same time as the runs will be.
///
/// # Errors
///
/// A trial fails or is stopped.
#[allow(clippy::cast_precision_loss)]
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
    let at_once = launcher.jobs().min(runs.len()).max(1);
    // Some are tried again, so that none has the machine to itself.
    let padded = methods.len().next_multiple_of(at_once);
    let tried: Vec<RunConfig> = (methods.iter().cycle().take(padded))
        .map(|(run, _)| (*run).clone())
        .collect();
    let trials = Trials {
        runs: &tried,
        trial: Trial::Steps(STEPS),
        before: 0,
        all: tried.len(),
    };
    let results = try_all(&trials, launcher, observer, &mut |_, outcome, observer| {
        if outcome.is_ok() && observer.stop_requested() {
            return Err(Error::Stopped("stopped during the trials"));
        }
        outcome
    })?;
    let forecasts = methods.iter().zip(&results).map(|((run, count), trial)| {
        let (epoch, others) = seconds(run, trial, data);
        Forecast {
            method: run.method_name().to_owned(),
            train_per_class: run.data.train_per_class,
            runs: *count,
            seconds: run.recipe.epochs as f64 * epoch + others,
            epoch_seconds: epoch,
            peak_memory_bytes: trial.peak_memory_bytes,
            at_once,
        }
    });
    Ok(forecasts.collect())
}

/// The duration of an epoch of a run whose trial took so long, with a pass over the validation images,
/// and that of everything else: its start and the test.
#[allow(clippy::cast_precision_loss)]
fn seconds(run: &RunConfig, trial: &Run, data: &Decoded) -> (f64, f64) {
    let steps = run.recipe.steps_per_epoch(data.train.len()) as f64;
    let test = trial.test_seconds.unwrap_or(0.0);
    let valid = data.valid.as_ref().map_or(0, Images::len) as f64;
    let mut valid = test * valid / data.test.len().max(1) as f64;
    if run.method.fits() {
        // It is not validated.
        valid = 0.0;
    }
    let epoch = steps * trial.seconds_per_step + valid;
    (epoch, trial.startup_seconds.unwrap_or(0.0) + test)
}

/// Gives each method as many epochs as it has time for: `budget` is the seconds of one run. One that is not
/// trained in steps takes the time that it takes.
///
/// # Errors
///
/// A method has no time for one epoch.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(super) fn within(
    runs: &mut [RunConfig],
    forecasts: &[Forecast],
    budget: f64,
) -> Result<(), Error> {
    /// The most epochs that anybody waits for.
    const MOST: f64 = 100_000.0;
    for run in runs {
        if run.method.fits() {
            continue;
        }
        let method = run.method_name();
        let Some(forecast) = forecasts.iter().find(|one| one.method == method) else {
            continue;
        };
        let epoch = forecast.epoch_seconds;
        let others = forecast.seconds - run.recipe.epochs as f64 * epoch;
        let epochs = ((budget - others) / epoch.max(1e-9)).floor();
        if epochs < 1.0 {
            return Err(Error::Usage(format!(
                "--budget is {}, but {method} needs {} for one epoch",
                finetune_evaluation::seconds(budget),
                finetune_evaluation::seconds(others + epoch)
            )));
        }
        run.recipe.epochs = epochs.min(MOST) as usize;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use finetune_methods::Method;
    use finetune_methods::catalogue::KnnConfig;

    use super::*;

    #[test]
    fn runs_at_the_same_time_take_less_time_together() {
        let of = |at_once| {
            let forecast = |method: &str, runs, seconds| Forecast {
                train_per_class: None,
                method: method.to_owned(),
                runs,
                seconds,
                epoch_seconds: 1.0,
                peak_memory_bytes: None,
                at_once,
            };
            together(&[forecast("sft", 2, 10.0), forecast("lora", 2, 4.0)])
        };
        assert!((of(1) - 28.0).abs() < 1e-9);
        // sft 0–10; lora 0–4, sft 4–14; lora 10–14.
        assert!((of(2) - 14.0).abs() < 1e-9);
        // sft 0–10; lora 0–4; sft 0–10; lora 4–8.
        assert!((of(3) - 10.0).abs() < 1e-9);
        assert!((of(9) - 10.0).abs() < 1e-9);
        assert!(together(&[]).abs() < 1e-9);
    }

    #[test]
    fn a_budget_becomes_epochs() {
        let mut runs = [
            RunConfig::new(Method::Sft).epochs(10),
            RunConfig::scratch().epochs(10),
            RunConfig::new(Method::Knn(KnnConfig::default())),
        ];
        let forecast = |method: &str, seconds, epoch_seconds| Forecast {
            method: method.to_owned(),
            train_per_class: None,
            runs: 1,
            seconds,
            epoch_seconds,
            peak_memory_bytes: None,
            at_once: 1,
        };
        // 5 seconds beside the epochs of 2 seconds, and 1 second beside those of 0.5 seconds.
        let forecasts = [
            forecast("sft", 25.0, 2.0),
            forecast("scratch", 6.0, 0.5),
            forecast("knn", 2.0, 1.0),
        ];
        within(&mut runs, &forecasts, 12.0).unwrap();
        assert_eq!(runs.each_ref().map(|run| run.recipe.epochs), [3, 22, 1]);
        let mut runs = [RunConfig::new(Method::Sft).epochs(10)];
        let error = within(&mut runs, &forecasts, 6.0).unwrap_err().to_string();
        assert_eq!(
            error,
            "--budget is 6.0 s, but sft needs 7.0 s for one epoch"
        );
    }
}
