//! What runs that are done at the same time print: bars are drawn one below the other, and lines appear
//! above them.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::thread::JoinHandle;

use super::bar::{Bar, Shown};
use super::output::alert;

/// Shows what a run prints, until it ends.
#[derive(Debug)]
pub struct Relay(Option<JoinHandle<()>>);

impl Relay {
    /// Shows what comes from `stderr` under a title.
    #[must_use]
    pub fn new(title: String, stderr: ChildStderr) -> Self {
        let thread = std::thread::Builder::new().spawn(move || {
            let bar = Bar::new(&title, 0);
            for line in BufReader::new(stderr).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line);
                match Shown::parse(&line) {
                    Some(shown) => bar.copy(shown),
                    // The run itself leaves out what is not to be said.
                    None => alert(&line),
                }
            }
        });
        Self(thread.ok())
    }
}

/// Waits until everything is shown.
impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}
