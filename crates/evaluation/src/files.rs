//! Writing files, with this crate's error.

use std::path::Path;

use crate::error::EvaluationError;

/// Writes a file so that a reader sees either the old content or all of the new one.
///
/// # Errors
///
/// [`EvaluationError::Io`] if the file cannot be written.
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
    fn an_error_names_the_file_that_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/a");
        let error = write_atomically(&path, b"").unwrap_err().to_string();
        let start = format!("cannot write {}: ", path.display());
        assert!(error.starts_with(&start), "{error}");
    }
}
