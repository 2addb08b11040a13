//! The identity of a file.

use std::io::Read;
use std::path::Path;

use finetune_files::hexadecimal;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
///
/// The file cannot be read.
pub fn hash(path: &Path) -> Result<String, Error> {
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
