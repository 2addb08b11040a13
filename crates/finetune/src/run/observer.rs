//! How a run communicates with its caller.

use finetune_evaluation::understood::Understood;

/// What a run or comparison is doing, outside of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Images are read, checked and decoded.
    Images,
    /// Weights are read and the method is attached.
    Weights,
    /// A learning rate is searched.
    RangeTest,
    /// The model is tested.
    Testing,
    /// The results are written.
    Saving,
}

/// Watches a run, receives what a user should know, and may stop the run.
///
/// The methods of [`finetune_training::Observer`] report the progress of training. `()` ignores
/// everything and never stops a run.
pub trait Observer: finetune_training::Observer {
    /// Receives a sentence for the user, for example about images that were left out.
    fn note(&mut self, text: &str) {
        let _ = text;
    }

    /// Receives what a comparison understood, before anything is computed.
    fn on_understood(&mut self, understood: &Understood) {
        let _ = understood;
    }

    /// Called before a comparison writes the first file of its folder. From here on it can be resumed,
    /// so a stop should be requested rather than made by ending the process.
    fn on_begin(&mut self) {}

    /// Called when a phase begins that may take long.
    fn on_phase(&mut self, phase: Phase) {
        let _ = phase;
    }

    /// Called again and again while images are decoded: how many of how many are.
    fn on_images(&mut self, decoded: usize, images: usize) {
        let _ = (decoded, images);
    }

    /// Whether the run should stop as soon as possible, for example because the user pressed Ctrl-C.
    /// What is done so far is saved.
    fn stop_requested(&self) -> bool {
        false
    }
}

impl Observer for () {}
