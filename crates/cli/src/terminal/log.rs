//! The log of a run: what was printed to stderr, with times, in a file of its folder.
//!
//! The folder exists only when everything has been checked. What is printed before is kept and written when
//! the file is opened. Processes that do a run append to the file of the command that started them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::ZonedDateTime;

/// The most lines that are kept before there is a file.
const MOST: usize = 1000;

static LOG: Mutex<Log> = Mutex::new(Log::new());

/// A log, or its first lines.
#[derive(Debug)]
struct Log {
    path: Option<PathBuf>,
    before: String,
    lines: usize,
}

impl Log {
    const fn new() -> Self {
        Self {
            path: None,
            before: String::new(),
            lines: 0,
        }
    }

    fn write(&mut self, line: &str) {
        let line = format!(
            "{} {line}\n",
            ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
        );
        if let Some(path) = &self.path {
            // The folder may have been given up, or somebody may have removed the file: then there is no log.
            let file = OpenOptions::new().append(true).open(path);
            let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
        } else if self.lines < MOST {
            self.before.push_str(&line);
            self.lines += 1;
        }
    }

    /// Begins the file, or goes on with one that exists. Another file is left as it is.
    fn open(&mut self, path: &Path, create: bool) {
        if self.path.as_deref() == Some(path) {
            return;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(create);
        let before = std::mem::take(&mut self.before);
        let write = |mut file: File| file.write_all(before.as_bytes());
        // A log that cannot be written is no reason not to train.
        if options.open(path).and_then(write).is_ok() {
            self.path = Some(path.to_owned());
        }
    }
}

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line into the log.
pub fn write(line: &str) {
    log().write(line);
}

/// From now on, lines go into this file, after those that it has and those that were written before.
pub fn open(path: &Path) {
    log().open(path, true);
}

/// As [`open`], if the file exists.
pub fn join(path: &Path) {
    log().open(path, false);
}

/// The file, if there is one yet.
#[must_use]
pub fn path() -> Option<PathBuf> {
    log().path.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_from_before_the_file_come_first_and_a_file_that_is_gone_stays_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let mut log = Log::new();
        log.write("first");
        log.open(&path, false);
        assert!(!path.exists());
        log.before.clear();
        log.write("second");
        log.open(&path, true);
        log.write("third");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .collect();
        assert_eq!(
            lines.iter().map(|(_, line)| *line).collect::<Vec<_>>(),
            ["second", "third"]
        );
        for (time, _) in lines {
            let time: jiff::Timestamp = time.parse().unwrap();
            assert!(time <= jiff::Timestamp::now());
        }
        std::fs::remove_file(&path).unwrap();
        log.write("fourth");
        assert!(!path.exists());
    }
}
