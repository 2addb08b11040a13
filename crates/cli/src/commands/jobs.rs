//! `compare --jobs N`: what it goes together with.

use anyhow::{Result, bail};

use crate::flags::Process;
use crate::terminal::exit::Usage;
use crate::terminal::progress::Ui;

/// The number of runs at the same time.
///
/// # Errors
///
/// There would be none, or what else was asked for needs one run at a time.
pub(super) fn at_once(process: &Process) -> Result<usize> {
    let jobs = process.jobs.unwrap_or(1);
    if jobs == 0 {
        bail!(Usage("--jobs is 0, but must be at least 1".to_owned()));
    }
    if jobs > 1 {
        let alone = [
            (
                process.claims,
                "--claims compares times and memory, which runs at the same time change",
            ),
            (
                process.budget.is_some(),
                "--budget gives each run the same time, which runs at the same time take from each other",
            ),
            (process.ui()? == Ui::Tui, "--ui tui shows one run at a time"),
        ];
        if let Some((_, why)) = alone.iter().find(|(asked, _)| *asked) {
            bail!(Usage(format!("{why}; leave out --jobs {jobs}")));
        }
    }
    Ok(jobs)
}
