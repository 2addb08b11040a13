//! Phases of a run, in words.

use finetune::run::Phase;

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
