//! What the library says while it runs, on stderr; and signals.

use finetune::Understood;
use finetune::run::Phase;

use super::heartbeat::Heartbeat;
use super::{interrupt, output, understood};

/// Prints notes and what was understood, and stops when the user presses Ctrl-C.
#[derive(Debug, Default)]
pub struct Notes {
    /// As long as this process works itself; runs print their own lines.
    heartbeat: Option<Heartbeat>,
}

impl finetune::training::Observer for Notes {}

impl finetune::Observer for Notes {
    fn note(&mut self, text: &str) {
        output::note(text);
    }

    fn on_understood(&mut self, understood: &Understood) {
        self.heartbeat = None;
        for line in understood::lines(understood) {
            output::note(&line);
        }
    }

    fn on_phase(&mut self, phase: Phase) {
        let heartbeat = self
            .heartbeat
            .get_or_insert_with(|| Heartbeat::new("start"));
        heartbeat.does(activity(phase));
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
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
