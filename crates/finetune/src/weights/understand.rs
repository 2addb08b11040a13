//! How the weights of a run are understood.

use finetune_files::quoted;
use finetune_model::{Understood, WeightsFile};

use super::source::open;
use crate::config::RunConfig;
use crate::error::Error;

/// How the weights of a run are understood as its model: under which prefix, in whose names, what else
/// the tensors could be, and what is left out. `None` if the run has no weights file or the file does not
/// fit the model. Only names and shapes are read.
///
/// # Errors
///
/// The file cannot be read.
pub fn understand(config: &RunConfig) -> Result<Option<Understood>, Error> {
    if config.from_scratch || config.weights.is_none() {
        return Ok(None);
    }
    Ok(open(config)?.understand_as(&config.model))
}

/// Says that the tensors of a file are no known network, and which network is the nearest.
#[must_use]
pub fn unrecognised(file: &WeightsFile) -> String {
    let first = file.shapes().into_keys().next().unwrap_or_default();
    let nearest = match file.nearest() {
        Some((architecture, problems)) => {
            format!("; the nearest is {}: {problems}", architecture.name)
        }
        None => "; name one with --model to see how they differ".to_owned(),
    };
    format!(
        "{} does not fit any known model (its first tensor is {}){nearest}",
        file.origin(),
        quoted(&first)
    )
}
