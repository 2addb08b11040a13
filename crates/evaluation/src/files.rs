//! Writing files, with this crate's error.

use std::path::Path;

use crate::error::EvaluationError;

/// Writes a file, whole or not at all.
///
/// # Errors
///
/// [`EvaluationError::Io`] where it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EvaluationError> {
    finetune_files::write_bytes(path, bytes).map_err(|source| EvaluationError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("none/a"), b"")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot write "), "{error}");
    }
}
