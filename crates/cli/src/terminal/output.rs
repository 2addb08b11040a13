//! What the command writes. If the reader has gone (`| head -1`), that is not an error, and must not
//! be a panic as with `println!`.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes text and a newline to stdout.
///
/// # Errors
///
/// Stdout cannot be written, for example because the disk behind `> FILE` is full. It is not an
/// error if its reader has gone.
pub fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to stdout"),
    }
}

/// Writes a line to stderr, if possible.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
