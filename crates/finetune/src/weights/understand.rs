//! How the weights of a run are understood.

use finetune_model::{Understood, WeightsFile};

use super::identify::identify;
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

/// Why the weights of a run are taken as the network that they are, if not by their tensors alone, and how
/// their publisher prepares images: sentences for the user.
#[must_use]
pub fn reasons(config: &RunConfig, file: &WeightsFile) -> Vec<String> {
    let Some(path) = &config.weights else {
        return Vec::new();
    };
    let identity = match identify(file, path, None) {
        Ok(identity) if identity.model == config.model => Ok(identity),
        _ => identify(file, path, Some(&config.model)),
    };
    identity.map_or_else(|_| Vec::new(), |identity| identity.notes)
}
