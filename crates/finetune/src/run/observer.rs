//! How a run communicates with its caller.

/// Watches a run, receives what a user should know, and may stop the run.
///
/// The methods of [`finetune_training::Observer`] report the progress of training. `()` ignores
/// everything and never stops a run.
pub trait Observer: finetune_training::Observer {
    /// Receives a sentence for the user, for example about images that were left out.
    fn note(&mut self, text: &str) {
        let _ = text;
    }

    /// Whether the run should stop as soon as possible, for example because the user pressed Ctrl-C.
    /// What is done so far is saved.
    fn stop_requested(&self) -> bool {
        false
    }
}

impl Observer for () {}
