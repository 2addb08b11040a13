//! Writing files whole or not at all.

use std::fs::File;
use std::io::Result;
use std::path::Path;

/// Writes `bytes` to the file `path`, replacing it if it exists.
///
/// # Errors
///
/// If the folder does not exist or cannot be written, or the disk is full. The file at `path` is not
/// changed then.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, |temporary| std::fs::write(temporary, bytes)).map(drop)
}

/// Lets `write` write a file with a temporary name in the folder of `path`, then syncs the file and
/// renames it to `path`.
///
/// Returns the size of the file in bytes.
///
/// # Errors
///
/// Those of [`write_bytes`] and of `write`.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<u64> {
    let temporary = tempfile::NamedTempFile::new_in(folder(path))?;
    write(temporary.path())?;
    // Opened again, because `write` may have replaced the file.
    let file = File::open(temporary.path())?;
    file.sync_all()?;
    let size = file.metadata()?.len();
    for_everyone(&file)?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(size)
}

/// Makes `path` a hard link to the existing file `from`, replacing the file at `path` if it exists.
/// Copies the file if the file system does not support hard links.
///
/// # Errors
///
/// Those of [`write_bytes`], and if `from` does not exist.
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

/// Temporary files are readable by their owner only; this sets the permissions of an ordinary file.
#[cfg(unix)]
fn for_everyone(file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)] // the signature for Unix
fn for_everyone(_file: &File) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_atomically_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_bytes(&path, b"long text").unwrap();
        write_bytes(&path, b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_bytes(&folder.path().join("none/a"), b"").is_err());
        // A failed write retains the old file and removes the temporary file.
        let broken = write_whole(&path, |temporary| {
            std::fs::write(temporary, b"half")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert!(broken.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        // A failed rename removes its temporary file.
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_bytes(&folder.path().join("taken"), b"").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_outlives_the_original_name() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        write_bytes(&first, b"old").unwrap();
        link(&first, &second).unwrap();
        // Replacing the first file does not change the second.
        write_bytes(&first, b"new").unwrap();
        assert_eq!(std::fs::read(&second).unwrap(), b"old");
        link(&first, &second).unwrap();
        std::fs::remove_file(&first).unwrap();
        assert_eq!(std::fs::read(&second).unwrap(), b"new");
        assert!(link(&first, &second).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
