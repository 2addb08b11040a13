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

/// Removes complete files until the rest takes `limit` bytes or less. Files that are in use stay. A file
/// that cannot be removed is no error.
pub(super) fn remove_least_recently_used(folder: &Path, limit: u64) {
    let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_none_or(|extension| extension != EXTENSION)
        {
            continue;
        }
        if let Ok(data) = entry.metadata()
            && data.is_file()
            && let Ok(used) = data.modified()
        {
            files.push((used, path, data.len()));
        }
    }
    files.sort();
    let mut all: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, path, bytes) in files {
        if all <= limit {
            return;
        }
        let Ok(file) = File::open(&path) else {
            continue;
        };
        let in_use = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if !in_use && fs::remove_file(&path).is_ok() {
            all -= bytes;
        }
    }
}
