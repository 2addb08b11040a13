//! The cache folder.

use std::path::PathBuf;

use crate::error::Error;

/// The folder for files that can be made or downloaded again: `FINETUNE_CACHE`, or the system's.
///
/// # Errors
///
/// The system names no cache folder.
pub fn cache_folder() -> Result<PathBuf, Error> {
    match std::env::var_os("FINETUNE_CACHE") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => dirs::cache_dir()
            .map(|folder| folder.join("finetune"))
            .ok_or(Error::NoCacheFolder),
    }
}
