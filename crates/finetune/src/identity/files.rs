//! The identity of the files that runs wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::weights::hash_once;
use crate::error::Error;

/// The SHA-256 of each file, by the file's name.
///
/// # Errors
///
/// A file cannot be read.
pub fn of_files(paths: &[PathBuf]) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        files.insert(name.to_string_lossy().into_owned(), hash_once(path)?.1);
    }
    Ok(files)
}

/// Checks that a file is the one that a run wrote, if `files` has its hash.
///
/// # Errors
///
/// [`Error::OtherFile`] if it is another one, or it cannot be read.
pub fn verify(path: &Path, files: &BTreeMap<String, String>) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(expected) = files.get(name.as_ref()) else {
        return Ok(());
    };
    let (_, found) = hash_once(path)?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::OtherFile {
        path: path.to_owned(),
        found,
        expected: expected.clone(),
    })
}
