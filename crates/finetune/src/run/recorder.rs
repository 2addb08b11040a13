//! Writes what a run leaves behind while it trains: checkpoints and TensorBoard's event files.

use std::ops::ControlFlow;
use std::time::SystemTime;

use finetune_training::{Checkpoint, Epoch, Step};

use super::checkpoints::Checkpoints;
use super::events::Events;
use super::observer::Observer;
use crate::error::{Error, one_line};
use crate::machine::memory;

/// Passes everything on to another observer, and writes checkpoints and events.
#[derive(Debug)]
pub(super) struct Recorder<'a, O> {
    observer: &'a mut O,
    checkpoints: Checkpoints<'a>,
    events: Option<Events>,
    first_step: Option<SystemTime>,
    steps: usize,
    /// The number of steps after which the run ends, if it is a trial.
    trial: Option<usize>,
}

impl<'a, O: Observer> Recorder<'a, O> {
    pub(super) fn new(
        observer: &'a mut O,
        checkpoints: Checkpoints<'a>,
        events: Option<Events>,
        trial: Option<usize>,
    ) -> Self {
        Self {
            observer,
            checkpoints,
            events,
            first_step: None,
            steps: 0,
            trial,
        }
    }

    /// When the first step began.
    pub(super) fn first_step(&self) -> Option<SystemTime> {
        self.first_step
    }

    /// The number of steps that were finished.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Stops if a stop was requested.
    fn stop_or(&self, flow: ControlFlow<()>) -> ControlFlow<()> {
        if self.observer.stop_requested() {
            ControlFlow::Break(())
        } else {
            flow
        }
    }

    /// Writes events. They are for display only: if they cannot be written, the run continues
    /// without them.
    fn record(&mut self, write: impl FnOnce(&mut Events) -> Result<(), Error>) {
        if let Some(events) = &mut self.events
            && let Err(error) = write(events)
        {
            let text = format!("no more events for TensorBoard: {}", one_line(&error));
            self.observer.note(&text);
            self.events = None;
        }
    }
}

impl<O: Observer> finetune_training::Observer for Recorder<'_, O> {
    fn on_features(&mut self, done: usize, images: usize) -> ControlFlow<()> {
        let flow = self.observer.on_features(done, images);
        self.stop_or(flow)
    }

    fn on_start(&mut self) {
        self.first_step = Some(SystemTime::now());
        self.observer.on_start();
    }

    fn on_fit(&mut self, plan: &str) {
        self.observer.on_fit(plan);
    }

    fn wants_stop(&self) -> bool {
        self.observer.stop_requested()
    }

    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        self.steps += 1;
        let flow = self.observer.on_step(step);
        self.record(|events| events.step(step));
        if self.trial.is_some_and(|steps| self.steps >= steps) {
            return ControlFlow::Break(());
        }
        self.stop_or(flow)
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        self.record(|events| events.epoch(epoch));
        self.observer.on_epoch(epoch);
    }

    fn on_patience(&mut self, best: usize) {
        self.observer.on_patience(best);
    }

    fn memory_bytes(&self) -> Option<u64> {
        memory::peak_memory_bytes()
    }

    fn wants_checkpoint(&self) -> bool {
        self.checkpoints.due()
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let written = self.checkpoints.write(checkpoint);
        written.map_err(|error| one_line(&error))
    }
}
