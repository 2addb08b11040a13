//! Files that are written whole or not at all: a reader sees the old one or the new one, also where
//! the process or the machine ends in between.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("report.json");
//! finetune_files::write_bytes(&path, b"{}")?;
//! let size = finetune_files::write_whole(&path, |temporary| std::fs::write(temporary, b"[1, 2]"))?;
//! assert_eq!((size, std::fs::read(&path)?), (6, b"[1, 2]".to_vec()));
//! # Ok::<(), std::io::Error>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fs::File;
use std::io::Result;
use std::path::Path;

/// Writes bytes to a file.
///
/// # Errors
///
/// A folder that is not there or cannot be written, a full disk; `path` is as it was.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, |temporary| std::fs::write(temporary, bytes)).map(drop)
}

/// Has a file written under a temporary name in the same folder, syncs and renames it.
///
/// Returns its size in bytes.
///
/// # Errors
///
/// As [`write_bytes`], and what `write` returns.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<u64> {
    let temporary = tempfile::NamedTempFile::new_in(folder(path))?;
    write(temporary.path())?;
    // Opened again: `write` may have put another file in its place.
    let file = File::open(temporary.path())?;
    file.sync_all()?;
    let size = file.metadata()?.len();
    for_everyone(&file)?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(size)
}

/// Gives a file that is there a second name, in place of what has that name; where the file system
/// has no second names, a copy.
///
/// # Errors
///
/// As [`write_bytes`]; `from` that is not there.
pub fn link(from: &Path, path: &Path) -> Result<()> {
    let linked =
        tempfile::Builder::new().make_in(folder(path), |name| std::fs::hard_link(from, name));
    match linked {
        Ok(linked) => {
            linked.persist(path).map_err(|error| error.error)?;
            Ok(())
        }
        Err(_) => write_whole(path, |temporary| std::fs::copy(from, temporary).map(drop)).map(drop),
    }
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent();
    folder
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// Temporary files are private; this gives one what a newly created file would have.
#[cfg(unix)]
fn for_everyone(file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // as elsewhere
fn for_everyone(_file: &File) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_bytes(&path, b"long text").unwrap();
        write_bytes(&path, b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_bytes(&folder.path().join("none/a"), b"").is_err());
        // One that breaks off leaves the old file, and its own nowhere.
        let broken = write_whole(&path, |temporary| {
            std::fs::write(temporary, b"half")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert!(broken.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        // A failed rename takes its temporary file along.
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_bytes(&folder.path().join("taken"), b"").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_second_name_outlives_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        write_bytes(&first, b"old").unwrap();
        link(&first, &second).unwrap();
        // The first one gets a new file, the second one keeps the old.
        write_bytes(&first, b"new").unwrap();
        assert_eq!(std::fs::read(&second).unwrap(), b"old");
        link(&first, &second).unwrap();
        std::fs::remove_file(&first).unwrap();
        assert_eq!(std::fs::read(&second).unwrap(), b"new");
        assert!(link(&first, &second).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
