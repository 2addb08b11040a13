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

/// Makes a path absolute if something exists there; otherwise it may be the name of a data set and
/// stays as it is.
///
/// # Errors
///
/// The current folder no longer exists.
pub fn pinned(path: PathBuf) -> Result<PathBuf, Error> {
    if path.exists() {
        absolute(&path)
    } else {
        Ok(path)
    }
}
