//! The pretrained weights of a run.

use std::path::PathBuf;

use finetune_model::WeightsFile;

use super::published::Published;
use crate::config::RunConfig;
use crate::config::defaults;
use crate::error::Error;
use crate::machine::cache::cache_folder;

/// Opens the pretrained weights of a run.
///
/// # Errors
///
/// The file cannot be read, or the model has no weights of its own.
pub fn open(config: &RunConfig) -> Result<WeightsFile, Error> {
    if let Some(path) = &config.weights {
        return Ok(WeightsFile::open(path)?);
    }
    if is_shipped(config) {
        return Ok(WeightsFile::from_static(
            "the shipped checkpoint",
            finetune_datasets::RESNET8_64_SIGNS,
        )?);
    }
    let path = cached(&config.model)?;
    if path.is_file() {
        return Ok(WeightsFile::open(&path)?);
    }
    if let Some(published) = Published::of(&config.model) {
        return Err(Error::Usage(format!(
            "`{}` has no weights of its own; give those of the Hugging Face Hub with --weights hf:{}, or \
             a file",
            config.model,
            published.repository()
        )));
    }
    Err(Error::Usage(format!(
        "there are no pretrained weights for `{0}`; make some with `finetune pretrain --model {0} \
         --out FILE` and give them with --weights FILE",
        config.model
    )))
}

/// Whether a run starts from the weights inside the program.
#[must_use]
pub fn is_shipped(config: &RunConfig) -> bool {
    config.weights.is_none() && config.model == defaults::MODEL
}

/// Whether a model has weights of its own: inside the program, made when they are first needed, or of an
/// earlier call in the cache folder.
#[must_use]
pub fn has_own(model: &str) -> bool {
    [defaults::MODEL, defaults::CHAPTER].contains(&model)
        || cached(model).is_ok_and(|path| path.is_file())
}

/// Whether a run starts from weights that are made when they are first needed: those of the
/// chapter's network, which are too large to ship.
#[must_use]
pub fn is_made_on_demand(config: &RunConfig) -> bool {
    config.weights.is_none() && !config.from_scratch && config.model == defaults::CHAPTER
}

/// The description of a run's weights in reports.
#[must_use]
pub fn describe(config: &RunConfig) -> String {
    match &config.weights {
        Some(path) => path.display().to_string(),
        None if is_shipped(config) => "shipped".to_owned(),
        None => cached(&config.model)
            .map_or_else(|_| "cache".to_owned(), |path| path.display().to_string()),
    }
}

/// The file in the cache folder for a model's own weights.
///
/// # Errors
///
/// The system names no cache folder.
pub fn cached(model: &str) -> Result<PathBuf, Error> {
    Ok(cache_folder()?.join(format!("{model}-signs-v1.safetensors")))
}
