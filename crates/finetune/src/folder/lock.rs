//! The lock of a folder: only one process at a time works in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::names::RunFolder;
use crate::error::Error;

/// How long a run that a killed process left behind may take to notice it and end.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a lock without an owner is waited for.
const BRIEFLY: Duration = Duration::from_secs(1);

/// The exclusive use of a folder. The system ends it when the process ends, however that happens; a
/// lock file that was left over does not count.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks an existing folder.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process works in it, or the lock file cannot be written.
    pub fn of(folder: &RunFolder) -> Result<Self, Error> {
        let path = folder.lock();
        let start = Instant::now();
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(Error::io("open", &path))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    let mut lock = Self { file, path };
                    lock.sign()?;
                    return Ok(lock);
                }
                // Its owner removed it after it was opened here.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let owner = owner(&path);
                    let patience = patience(owner.as_deref());
                    if start.elapsed() >= patience {
                        return Err(in_use(folder, owner));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::Error(source)) => {
                    return Err(Error::io("lock", &path)(source));
                }
            }
        }
    }

    /// Checks that no process works in a folder, which need not exist.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if one does.
    pub fn check(folder: &RunFolder) -> Result<(), Error> {
        let path = folder.lock();
        let start = Instant::now();
        loop {
            // It may be unreadable or missing; then the folder is not in use, or locking it fails.
            let Ok(file) = File::open(&path) else {
                return Ok(());
            };
            let Err(TryLockError::WouldBlock) = file.try_lock_shared() else {
                return Ok(());
            };
            let owner = owner(&path);
            if start.elapsed() >= patience(owner.as_deref()) {
                return Err(in_use(folder, owner));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The open file. As long as any process holds it, or a copy that it inherited, the folder is
    /// locked; so that a process that does a run can keep the lock if the one that started it dies.
    ///
    /// # Errors
    ///
    /// The process has too many open files.
    pub fn share(&self) -> Result<File, Error> {
        self.file
            .try_clone()
            .map_err(Error::io("share", &self.path))
    }

    /// Writes down whose lock it is.
    fn sign(&mut self) -> Result<(), Error> {
        let text = std::process::id().to_string();
        let written = (self.file.set_len(0))
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .and_then(|_| self.file.write_all(text.as_bytes()));
        written.map_err(Error::io("write", &self.path))
    }
}

/// How long to wait for a lock that is said to belong to `owner`.
fn patience(owner: Option<&str>) -> Duration {
    match owner {
        // It has not signed yet, or a process only looks whether it is locked.
        None => BRIEFLY,
        Some(owner) if is_running(owner) => Duration::ZERO,
        // It was killed, and a run that it started has yet to end.
        Some(_) => PATIENCE,
    }
}

/// Removes the file. Whoever opened it in the meantime notices that it is gone.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn in_use(folder: &RunFolder, owner: Option<String>) -> Error {
    Error::InUse {
        folder: folder.path().to_owned(),
        process: owner.map_or_else(
            || "another process".to_owned(),
            |owner| format!("process {owner}"),
        ),
    }
}

/// The id of the process that signed a lock file.
fn owner(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    let id: u32 = text.trim().parse().ok()?;
    Some(id.to_string())
}

/// Whether a process runs; assumed where the system does not tell.
fn is_running(id: &str) -> bool {
    let all = Path::new("/proc/self");
    if !all.exists() {
        return true;
    }
    // A process that was killed and whose parent has not asked for its exit code is a zombie.
    let state = std::fs::read_to_string(format!("/proc/{id}/stat"));
    let state = state.ok().and_then(|text| {
        let after = text.rsplit_once(')')?.1;
        after.trim_start().chars().next()
    });
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Whether a path still leads to this open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, there) = (file.metadata(), std::fs::metadata(path));
    match (open, there) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

/// Whether a path still leads to this open file. This system does not let open files be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_unlocked_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(folder.path(), false);
        Lock::check(&folder).unwrap();
        let lock = Lock::of(&folder).unwrap();
        let id = std::process::id().to_string();
        for refused in [Lock::check(&folder), Lock::of(&folder).map(drop)] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.contains(&format!("is in use by process {id}")),
                "{error}"
            );
        }
        // A copy keeps the lock.
        let copy = lock.share().unwrap();
        drop(lock);
        assert!(!folder.lock().exists());
        let next = Lock::of(&folder).unwrap();
        drop((copy, next));
        Lock::check(&folder).unwrap();
    }

    #[test]
    fn a_lock_file_that_was_left_over_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(folder.path(), false);
        for left in ["", "1", "999999999", "not a number\u{1b}[31m"] {
            std::fs::write(folder.lock(), left).unwrap();
            Lock::check(&folder).unwrap();
            drop(Lock::of(&folder).unwrap());
        }
    }
}
