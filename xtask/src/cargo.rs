//! Building with cargo.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The path of a built program.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        Into::into,
    );
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    folder.join("debug").join(name)
}

/// Builds programs; whether that succeeded.
///
/// On a terminal, cargo's progress and messages are shown while it builds. Otherwise, or if nothing
/// needs to be built, there is no output.
pub(crate) fn build(programs: &[&str], features: &[&str]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // With the features of the whole workspace, `cargo test --workspace` shares the build.
    build.args(["build", "--workspace"]);
    for program in programs {
        build.args(["--bin", program]);
    }
    for feature in features {
        build.args(["--features", feature]);
    }
    if !std::io::stderr().is_terminal() {
        build.arg("--quiet");
        return build.status().is_ok_and(|status| status.success());
    }
    let child = build
        .env("CARGO_TERM_COLOR", "always")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "80")
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return false;
    };
    if let Some(stderr) = child.stderr.take() {
        show(BufReader::new(stderr), std::io::stderr());
    }
    child.wait().is_ok_and(|status| status.success())
}

/// Copies cargo's output except the line that says that the build is finished, which would otherwise
/// appear at each call.
fn show(mut from: impl BufRead, mut to: impl Write) {
    /// Erases the line: the progress bar, which cargo erases when it writes the last line.
    const ERASE: &[u8] = b"\x1b[K";
    let mut piece = Vec::new();
    while read_piece(&mut from, &mut piece) {
        let text = String::from_utf8_lossy(&piece);
        let is_last = text.contains("Finished") && text.contains(" profile ");
        let written = to.write_all(if is_last { ERASE } else { &piece });
        if written.and_then(|()| to.flush()).is_err() {
            // Nobody reads it, but cargo must be able to write on.
            let _ = std::io::copy(&mut from, &mut std::io::sink());
        }
        piece.clear();
    }
}

/// Reads up to the end of a line, or of a progress bar, which ends with a carriage return.
fn read_piece(from: &mut impl BufRead, piece: &mut Vec<u8>) -> bool {
    for byte in from.by_ref().bytes() {
        let Ok(byte) = byte else { break };
        piece.push(byte);
        if matches!(byte, b'\n' | b'\r') {
            break;
        }
    }
    !piece.is_empty()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_is_left_out() {
        let output =
            "Compiling a\n    Building [==> ] 1/2: a\r\x1b[K    Finished `dev` profile [a]\n";
        let mut shown = Vec::new();
        show(output.as_bytes(), &mut shown);
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown, "Compiling a\n    Building [==> ] 1/2: a\r\x1b[K");
    }
}
