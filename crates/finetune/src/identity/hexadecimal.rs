//! Hashes as text.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The hash in hexadecimal.
pub(super) fn hexadecimal(hasher: Sha256) -> String {
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
    }
    text
}
