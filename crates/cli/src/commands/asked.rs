//! What the command line asks of comparisons.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use finetune::Comparison;

use crate::flags::Process;
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
