//! What the library says while it runs, on stderr; and Ctrl-C.

use super::{interrupt, output};

/// Prints notes, and stops when the user presses Ctrl-C.
#[derive(Debug, Clone, Copy)]
pub struct Notes;

impl finetune::training::Observer for Notes {}

impl finetune::Observer for Notes {
    fn note(&mut self, text: &str) {
        output::note(text);
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }
}
