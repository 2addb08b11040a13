//! The cache folders.

use std::env::var_os;
use std::path::PathBuf;

use crate::error::Error;

/// The folder for files that can be made or downloaded again: `FINETUNE_CACHE`, or the system's.
///
/// # Errors
///
/// The system names no cache folder.
pub fn cache_folder() -> Result<PathBuf, Error> {
    match var_os("FINETUNE_CACHE") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => dirs::cache_dir()
            .map(|folder| folder.join("finetune"))
            .ok_or(Error::NoCacheFolder),
    }
}

/// The cache of the Hugging Face Hub, which its own libraries share: `HF_HUB_CACHE`, or the folder `hub` of
/// `HF_HOME`, or where these libraries put it otherwise; `None` if the system names no home folder.
#[must_use]
pub fn hub_folder() -> Option<PathBuf> {
    let named = var_os("HF_HUB_CACHE").or_else(|| var_os("HUGGINGFACE_HUB_CACHE"));
    if let Some(folder) = named {
        return Some(PathBuf::from(folder));
    }
    let home = match (var_os("HF_HOME"), var_os("XDG_CACHE_HOME")) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(cache)) => PathBuf::from(cache).join("huggingface"),
        (None, None) => dirs::home_dir()?.join(".cache").join("huggingface"),
    };
    Some(home.join("hub"))
}
