//! How much the files of the cache folder take together: what was used longest ago goes first.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The ending of a whole file's name.
pub(super) const ENDING: &str = "images";

/// Marks a file as used now, and as in use as long as it is open.
///
/// Where a file system has no locks or times, the wrong file may go first: a run that has it open goes
/// on reading it where the system keeps open files, and the next one makes it again.
pub(super) fn mark_used(file: &File) {
    let _ = file.try_lock_shared();
    let _ = file.set_modified(SystemTime::now());
}

/// Removes whole files until they take `limit` bytes or less; those in use stay. Nothing depends on
/// their being gone.
pub(super) fn keep_within(folder: &Path, limit: u64) {
    let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
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
