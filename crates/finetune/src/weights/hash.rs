//! The identity of weights: the SHA-256 of their file, or of all their files.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use finetune_files::hexadecimal;
use finetune_model::ShardIndex;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The SHA-256 of a file, in hexadecimal.
///
/// If it is the index of weights in several files (`*.index.json`), it stands for all of them: the hash is
/// that of the lines which `sha256sum` prints for the index and then the other files, in alphabetical order
/// and by their names within the folder:
/// `sha256sum model.safetensors.index.json model-*.safetensors | sha256sum`.
///
/// # Errors
///
/// A file cannot be read, or the index is none.
pub fn hash(path: &Path) -> Result<String, Error> {
    let Some(index) = ShardIndex::read(path)? else {
        return hash_file(path);
    };
    let mut lines = String::new();
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    let _ = writeln!(lines, "{}  {own}", hash_file(path)?);
    for name in index.names() {
        let _ = writeln!(lines, "{}  {name}", hash_file(&index.path_of(name))?);
    }
    Ok(hexadecimal(&Sha256::digest(lines)))
}

/// All files that [`hash`] reads: the file, and those that it is the index of.
///
/// # Errors
///
/// The index cannot be read, or is none.
pub(crate) fn files_of(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = vec![path.to_owned()];
    if let Some(index) = ShardIndex::read(path)? {
        files.extend(index.names().into_iter().map(|name| index.path_of(name)));
    }
    Ok(files)
}

pub(super) fn hash_file(path: &Path) -> Result<String, Error> {
    let (mut file, _) = finetune_files::open(path).map_err(Error::io("read", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_index_is_that_of_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let index = r#"{"weight_map": {"x": "b", "y": "a"}}"#;
        std::fs::write(at("m.index.json"), index).unwrap();
        std::fs::write(at("a"), "abc").unwrap();
        std::fs::write(at("b"), "").unwrap();
        // printf '{"weight_map": {"x": "b", "y": "a"}}' > m.index.json; printf abc > a; : > b
        // sha256sum m.index.json a b | sha256sum
        let expected = "fb415e94346ed13a8f58f21f3756e134214a6755b629c2aaf3972d093da2889c";
        assert_eq!(hash(&at("m.index.json")).unwrap(), expected);
        assert_eq!(files_of(&at("m.index.json")).unwrap().len(), 3);
        std::fs::write(at("b"), "changed").unwrap();
        assert_ne!(hash(&at("m.index.json")).unwrap(), expected);
        std::fs::remove_file(at("b")).unwrap();
        assert!(hash(&at("m.index.json")).is_err());
    }
}
