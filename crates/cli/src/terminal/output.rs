//! What the command says. Nobody may be listening any more (`| head -1`): that is no error, and
//! certainly no panic.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes a line, or several, on stdout.
///
/// # Errors
///
/// Where stdout cannot be written, a full disk behind `> FILE` for instance; not where its reader
/// has gone.
pub fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to stdout"),
    }
}

/// Writes a line on stderr, where that can be done.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
