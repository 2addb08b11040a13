//! Paths that mean the same from any folder.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Makes a path absolute.
///
/// # Errors
///
/// The current folder no longer exists.
pub fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::io("resolve", path))
}

/// Makes a path absolute if something exists there, and is not the name of a data set: `embedded` in a
/// configuration is the data set also beside a folder of that name.
///
/// # Errors
///
/// The current folder no longer exists.
pub fn pinned(path: PathBuf) -> Result<PathBuf, Error> {
    if finetune_data::named(&path).is_none() && path.exists() {
        absolute(&path)
    } else {
        Ok(path)
    }
}
