//! The weights that the runs of a comparison start from.

use super::launcher::Launcher;
use crate::config::RunConfig;
use crate::error::Error;
use crate::folder::{absolute, pinned};
use crate::run::Observer;
use crate::weights::{cached, is_made_on_demand, is_shipped};

/// Pretrains the chapter's network if a run needs its weights and the cache folder does not have
/// them.
pub(super) fn make_missing(
    runs: &[RunConfig],
    launcher: &mut impl Launcher,
    observer: &mut impl Observer,
) -> Result<(), Error> {
    let Some(config) = runs.iter().find(|run| is_made_on_demand(run)) else {
        return Ok(());
    };
    let path = cached(&config.model)?;
    if path.is_file() {
        return Ok(());
    }
    observer.note(&format!(
        "pretraining `{}` on the hands that show 5–9, once; its weights (about 260 MB) are cached in \
         {}",
        config.model,
        path.display()
    ));
    launcher.pretrain(&config.model, &path, observer)
}

/// Makes a run's configuration mean the same from any folder and at any later time.
pub(super) fn pin(config: &mut RunConfig) -> Result<(), Error> {
    config.data.path = pinned(std::mem::take(&mut config.data.path))?;
    if !config.from_scratch && config.weights.is_none() && !is_shipped(config) {
        config.weights = Some(cached(&config.model)?);
    }
    if let Some(path) = &config.weights {
        config.weights = Some(absolute(path)?);
    }
    Ok(())
}
