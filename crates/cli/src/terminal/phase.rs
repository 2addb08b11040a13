//! Phases of a run, in words, and how long they take.

use std::time::Instant;

use finetune::evaluation::format::seconds;
use finetune::run::Phase;

use super::output::detail;

/// Says how long each phase took, with `--verbose` and in the log.
#[derive(Debug)]
pub struct Phases {
    title: String,
    /// The phase that goes on, and since when.
    now: Option<(Phase, Instant)>,
}

impl Phases {
    /// No phase goes on. Lines begin with `title`.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            now: None,
        }
    }

    /// A phase begins, and the one before it ends.
    pub fn begins(&mut self, phase: Phase) {
        self.end();
        self.now = Some((phase, Instant::now()));
    }

    /// The phase ends.
    pub fn end(&mut self) {
        if let Some((phase, since)) = self.now.take() {
            let seconds = seconds(since.elapsed().as_secs_f64());
            detail(&format!(
                "{:>14} {}: {seconds}",
                self.title,
                activity(phase)
            ));
        }
    }
}

impl Drop for Phases {
    fn drop(&mut self) {
        self.end();
    }
}

/// What goes on in a phase.
#[must_use]
pub fn activity(phase: Phase) -> &'static str {
    match phase {
        Phase::Images => "reading images",
        Phase::Weights => "reading weights",
        Phase::RangeTest => "searching a learning rate",
        Phase::Testing => "testing",
        Phase::Saving => "saving",
    }
}
