//! How a run reaches whoever started it.

/// What a run says while it goes on, and whether it should stop.
pub trait Observer: finetune_training::Observer {
    /// A sentence for the user.
    fn note(&mut self, text: &str) {
        let _ = text;
    }

    /// Whether the run should stop as soon as it can.
    fn stop_requested(&self) -> bool {
        false
    }
}

impl Observer for () {}
