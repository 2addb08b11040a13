//! What the command line asks of comparisons.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use finetune::Comparison;
use finetune::config::{EMBEDDED, RunConfig, defaults};

use crate::flags::{Few, Process};
use crate::terminal::exit::Usage;
use crate::terminal::process::started;

/// `runs/TIME-COMMAND`.
pub(super) fn new_folder(command: &str) -> PathBuf {
    let time = jiff::ZonedDateTime::now();
    Path::new("runs").join(format!("{}-{command}", time.strftime("%Y-%m-%d-%H%M%S")))
}

/// The command that was typed.
pub(super) fn command() -> String {
    let arguments = std::env::args_os();
    let arguments: Vec<_> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    arguments.join(" ")
}

/// On how many images per class new runs are done as well: the demonstration, the included network on
/// embedded photographs, shows both ends by default.
pub(super) fn few_by_default(process: &Process, runs: &[RunConfig]) -> Option<usize> {
    let whole = |run: &RunConfig| {
        run.data.path == Path::new(EMBEDDED)
            && run.data.train_per_class.is_none()
            && run.model == defaults::MODEL
            && run.weights.is_none()
    };
    let decided = process.budget.is_some() || process.tune.is_some();
    (!decided && runs.iter().all(whole)).then_some(defaults::FEW)
}

/// A comparison with or without runs on fewer images, as it is typed.
pub(super) fn with_few(comparison: Comparison, process: &Process) -> Result<Comparison> {
    let comparison = match process.few {
        None => comparison,
        Some(Few::Off) => comparison.few(None),
        Some(Few::PerClass(per_class)) => comparison.few(Some(per_class)),
    };
    let Some(per_class) = comparison.plan().few else {
        return Ok(comparison);
    };
    for (given, flag) in [
        (process.budget.is_some(), "--budget"),
        (process.tune.is_some(), "--tune"),
    ] {
        if given {
            bail!(Usage(format!(
                "--few compares on two training sets, and {flag} is for one; leave it out, or compare on \
                 one at a time, with --few off and with --train-per-class {per_class}"
            )));
        }
    }
    Ok(comparison)
}

/// A comparison as the flags about this process want it.
pub(super) fn configured(comparison: Comparison, process: &Process) -> Result<Comparison> {
    let comparison = match process.prefer {
        Some(prefer) => comparison.prefer(prefer),
        None => comparison,
    };
    let comparison = comparison.started(started());
    let comparison = match process.budget {
        Some(seconds) => comparison.budget(seconds),
        None => comparison,
    };
    match process.tune {
        Some(trials) if trials < 2 => {
            bail!(Usage(format!("--tune is {trials}, but must be at least 2")))
        }
        Some(trials) => Ok(comparison.tune(trials)),
        None => Ok(comparison),
    }
}
