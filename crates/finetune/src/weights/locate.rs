//! From the name of a weights file to a file on this machine.

use std::path::PathBuf;

use super::hash::hash;
use super::hub::HubFile;
use crate::error::Error;

/// The file that `name` stands for: a path, or `hf:OWNER/NAME[@REVISION][/FILE]` on the Hugging Face
/// Hub, which is downloaded if the Hub's cache does not have it. If `sha256` is given, in
/// hexadecimal, the file must have it.
///
/// # Errors
///
/// The file cannot be downloaded, or it has another SHA-256.
pub fn locate(name: &str, sha256: Option<&str>) -> Result<PathBuf, Error> {
    let path = match name.strip_prefix("hf:") {
        Some(rest) => HubFile::parse(rest)?.fetch()?,
        None => PathBuf::from(name),
    };
    if let Some(expected) = sha256 {
        let found = hash(&path)?;
        if !found.eq_ignore_ascii_case(expected.trim()) {
            return Err(Error::Hash {
                path,
                found,
                expected: expected.to_owned(),
            });
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_hash_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        // FIPS 180-4, appendix B.1.
        let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let name = path.to_str().unwrap();
        assert_eq!(locate(name, Some(abc)).unwrap(), path);
        let error = locate(name, Some("00")).unwrap_err().to_string();
        assert!(error.contains("has the SHA-256 ba7816bf"), "{error}");
    }
}
