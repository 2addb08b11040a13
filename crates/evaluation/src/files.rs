//! Writing files so that a reader sees the old one or the whole new one.

use std::path::Path;

use crate::error::EvaluationError;

/// Writes a file: to a temporary name in the same folder, synced, then renamed.
///
/// # Errors
///
/// [`EvaluationError::Io`] where it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EvaluationError> {
    write_whole(path, |temporary| std::fs::write(temporary, bytes))
}

/// The same for a file that `write` writes under the temporary name.
///
/// # Errors
///
/// [`EvaluationError::Io`] where it cannot be written.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<(), EvaluationError> {
    let io = |source| EvaluationError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new("."))).map_err(io)?;
    write(file.path()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let everyone_reads = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(everyone_reads).map_err(io)?;
    }
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, b"long text").unwrap();
        write_atomically(&path, b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write_atomically(&folder.path().join("none/a"), b"")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot write "), "{error}");
        // A failed rename takes its temporary file along.
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_atomically(&folder.path().join("taken"), b"").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
