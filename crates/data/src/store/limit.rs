//! The limit of the cache folder: the least recently used files are removed first.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The extension of complete cache files.
pub(super) const EXTENSION: &str = "images";

/// Records that a file is used now, and is in use as long as it is open.
///
/// On a file system without locks or times a file may be removed too early. A run that has it open can
/// go on reading it on systems that keep open files, and the next run writes it again.
pub(super) fn mark_used(file: &File) {
    let _ = file.try_lock_shared();
    let _ = file.set_modified(SystemTime::now());
}

/// A complete cache file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CachedFile {
    /// When it was last used.
    pub used: SystemTime,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl CachedFile {
    /// Removes the file, unless a process uses it. Returns whether it was removed.
    ///
    /// # Errors
    ///
    /// The system does not allow it.
    pub fn remove(&self) -> std::io::Result<bool> {
        let file = File::open(&self.path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(false);
        }
        fs::remove_file(&self.path)?;
        Ok(true)
    }
}

/// The complete cache files of a folder, the least recently used first.
#[must_use]
pub fn cached_files(folder: &Path) -> Vec<CachedFile> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let complete = path.extension().is_some_and(|it| it == EXTENSION);
        if complete
            && let Ok(data) = entry.metadata()
            && data.is_file()
            && let Ok(used) = data.modified()
        {
            files.push(CachedFile {
                used,
                path,
                bytes: data.len(),
            });
        }
    }
    files.sort();
    files
}

/// Removes complete files until the rest takes `limit` bytes or less. Files that are in use stay. A file
/// that cannot be removed is no error.
pub(super) fn remove_least_recently_used(folder: &Path, limit: u64) {
    let files = cached_files(folder);
    let mut all: u64 = files.iter().map(|file| file.bytes).sum();
    for file in files {
        if all <= limit {
            return;
        }
        if file.remove().is_ok_and(|removed| removed) {
            all -= file.bytes;
        }
    }
}
