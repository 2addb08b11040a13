//! The finished runs that the flags of a command choose.

use std::path::PathBuf;

use anyhow::Result;
use finetune::FinishedRun;
use finetune::folder::absolute;
use finetune::weights::locate;

use crate::flags::{SelectedRun, Selection};

/// The run of a folder that is chosen, or its only one.
///
/// # Errors
///
/// The folder holds no such run, or the base weights are not at the place that was typed.
pub(super) fn selected(of: &SelectedRun) -> Result<FinishedRun> {
    let Selection { method, epoch } = &of.selection;
    let run = FinishedRun::open(&of.run, method.as_deref(), *epoch)?;
    Ok(match moved(of)? {
        Some(file) => run.moved_weights(&file)?,
        None => run,
    })
}

/// The run of a folder that is chosen, or all of them.
///
/// # Errors
///
/// As [`selected`].
pub(super) fn selected_or_all(of: &SelectedRun) -> Result<Vec<FinishedRun>> {
    if of.selection.method.is_some() {
        return Ok(vec![selected(of)?]);
    }
    let runs = FinishedRun::open_all(&of.run, of.selection.epoch)?;
    let Some(file) = moved(of)? else {
        return Ok(runs);
    };
    // Beside others, the baseline that starts from random weights is no contradiction.
    let any = runs.iter().any(|run| run.config().starts_from_file());
    let runs = runs.into_iter().map(|run| {
        if any && !run.config().starts_from_file() {
            return Ok(run);
        }
        Ok(run.moved_weights(&file)?)
    });
    runs.collect()
}

/// The place to which base weights were moved.
fn moved(of: &SelectedRun) -> Result<Option<PathBuf>> {
    let file = of.weights.as_deref();
    let file = file.map(|name| Ok(absolute(&locate(name, None)?)?));
    file.transpose()
}
