//! The folder for what can be made or fetched again.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The folder for what can be made or fetched again.
///
/// # Errors
///
/// Where the system names no cache folder.
pub fn cache_folder() -> Result<PathBuf> {
    Ok(match std::env::var_os("FINETUNE_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => dirs::cache_dir()
            .context("the system names no cache folder; set FINETUNE_CACHE to one")?
            .join("finetune"),
    })
}
