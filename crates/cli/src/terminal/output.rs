//! What the command writes. If the reader has gone (`| head -1`), that is not an error, and must not
//! be a panic as with `println!`.
//!
//! All text passes through here, so no name from a file, a folder or a data set can send an escape
//! sequence to the terminal.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use finetune_files::{shortened, visible};
use serde::Serialize;

use super::verbosity::Verbosity;
use super::{bar, log};

/// Whether the reader of stdout has gone.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// The most characters of a line on stderr.
const LONGEST: usize = 4000;

/// Writes text, which may have several lines, and a newline to stdout. Characters that do not print
/// are escaped.
///
/// # Errors
///
/// Stdout cannot be written, for example because the disk behind `> FILE` is full. It is not an
/// error if its reader has gone.
pub fn say(text: &str) -> Result<()> {
    let lines: Vec<_> = text.split('\n').map(visible).collect();
    write(&lines.join("\n"))
}

/// Writes a value to stdout as a JSON document.
///
/// # Errors
///
/// As [`say`].
pub fn say_json(value: &impl Serialize) -> Result<()> {
    say_document(&serde_json::to_string_pretty(value)?)
}

/// Writes a JSON document to stdout.
///
/// # Errors
///
/// As [`say`].
pub fn say_document(json: &str) -> Result<()> {
    write(&printable_json(json))
}

/// Writes a record of comma-separated values to stdout, byte for byte: a file name need not be UTF-8. Only
/// on a terminal, characters that do not print are escaped.
///
/// # Errors
///
/// As [`say`].
pub fn say_csv<'a>(cells: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells)?;
    let line = line.into_inner().map_err(csv::IntoInnerError::into_error)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    if std::io::stdout().is_terminal() {
        return say(&String::from_utf8_lossy(line));
    }
    write_bytes(line)
}

/// Whether the reader of stdout has gone, so that nobody sees what is written there.
#[must_use]
pub fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

/// Writes a line to stderr, above progress bars, if possible, and into the log. Characters that do not print,
/// line breaks included, are escaped, and the middle of an overlong line is left out. With `--quiet`, it is
/// only in the log.
pub fn note(text: &str) {
    line(text, Verbosity::Normal);
}

/// As [`note`], also with `--quiet`: errors, and answers to signals.
pub fn alert(text: &str) {
    line(text, Verbosity::Quiet);
}

/// As [`note`], but without `--verbose` only in the log: how something is done.
pub fn detail(text: &str) {
    line(text, Verbosity::Verbose);
}

fn line(text: &str, from: Verbosity) {
    let text = shortened(text, LONGEST);
    let text = visible(&text);
    log::write(&text);
    if Verbosity::chosen() < from {
        return;
    }
    // In one piece: other processes may write to the same place at the same time.
    let line = format!("{text}\n");
    bar::above(|| {
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
}

/// JSON in which the characters that a terminal does not print are escaped as JSON escapes them. In
/// valid JSON, they are within strings.
fn printable_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        let mut bytes = [0; 4];
        if character == '\n'
            || visible(character.encode_utf8(&mut bytes)).len() == character.len_utf8()
        {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

fn write(text: &str) -> Result<()> {
    write_bytes(text.as_bytes())
}

fn write_bytes(line: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(line)
        .and_then(|()| stdout.write_all(b"\n"));
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            UNREAD.store(true, Ordering::Relaxed);
            Ok(())
        }
        outcome => outcome.context("cannot write to stdout"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_remains_the_same_document() {
        let name = "a\u{1b}[31m\u{9b}\u{202e}\u{e0041}é\n\"\\";
        let json = printable_json(&serde_json::to_string_pretty(&[name]).unwrap());
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [name]);
        assert!(
            json.contains(r"\u001b[31m\u009b\u202e\udb40\udc41é"),
            "{json}"
        );
        assert!(
            json.chars()
                .all(|character| !character.is_control() || character == '\n')
        );
    }
}
