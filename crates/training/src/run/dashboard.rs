//! Burn's terminal dashboard, fed from our own loop.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn_train::Interrupter;
use burn_train::logger::TrainingProgressLogger;
use burn_train::metric::{
    MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use burn_train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};

use crate::run::observer::{Epoch, Observer, Step};

/// Shows loss, accuracy and learning rate on Burn's dashboard; needs a terminal on stdout.
///
/// `q` there asks whether to stop; then the run ends after its current step.
pub struct Dashboard {
    renderer: TuiMetricsRendererWrapper,
    interrupter: Interrupter,
    epochs: usize,
    started: Option<usize>,
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dashboard")
            .field("epochs", &self.epochs)
            .finish_non_exhaustive()
    }
}

const METRICS: [(&str, Option<&str>, bool); 4] = [
    ("Loss", None, false),
    ("Accuracy", Some("%"), true),
    ("Learning rate", None, false),
    ("Images a second", None, true),
];

impl Dashboard {
    /// Takes over the terminal for a run of `epochs` epochs.
    #[must_use]
    pub fn new(epochs: usize) -> Self {
        let interrupter = Interrupter::new();
        let mut renderer = TuiMetricsRendererWrapper::new(interrupter.clone(), None);
        for (name, unit, higher_is_better) in METRICS {
            let unit = unit.map(str::to_owned);
            renderer.register_metric(MetricDefinition {
                metric_id: id(name),
                name: Arc::new(name.to_owned()),
                description: None,
                attributes: NumericAttributes {
                    unit,
                    higher_is_better,
                }
                .into(),
            });
        }
        Self {
            renderer,
            interrupter,
            epochs,
            started: None,
        }
    }
}

fn id(name: &str) -> MetricId {
    MetricId::new(Arc::new(name.to_owned()))
}

fn state(metric: usize, value: f64) -> MetricState {
    let text = format!("{value:.4}");
    let entry = MetricEntry::new(
        id(METRICS[metric].0),
        SerializedEntry::new(text.clone(), text),
    );
    MetricState::Numeric(entry, Some(NumericEntry::Value(value)))
}

impl Observer for Dashboard {
    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        let per_epoch = step.steps / self.epochs.max(1);
        if self.started.is_none() {
            self.renderer.start(self.epochs, 1, None, None);
        }
        if self.started != Some(step.epoch) {
            self.renderer.start_split("train", per_epoch);
            self.started = Some(step.epoch);
        }
        #[allow(clippy::cast_precision_loss)]
        let pace = step.images as f64 / step.seconds.max(1e-9);
        let values = [step.loss, 100.0 * step.accuracy, step.learning_rate, pace];
        for (metric, value) in values.into_iter().enumerate() {
            self.renderer.update_train(state(metric, value));
        }
        self.renderer
            .update_split((step.step - 1) % per_epoch.max(1) + 1);
        if self.interrupter.should_stop() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        if let (Some(loss), Some(accuracy)) = (epoch.valid_loss, epoch.valid_accuracy) {
            self.renderer.update_valid(state(0, loss));
            self.renderer.update_valid(state(1, 100.0 * accuracy));
        }
        self.renderer.end_split();
        self.renderer.update_epoch(epoch.epoch);
    }
}
