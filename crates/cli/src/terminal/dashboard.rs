//! Burn's terminal dashboard, as an observer of our own loop.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn_train::Interrupter;
use burn_train::logger::TrainingProgressLogger;
use burn_train::metric::{
    MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_train::renderer::tui::TuiMetricsRendererWrapper;
use burn_train::renderer::{MetricState, MetricsRenderer, MetricsRendererTraining};
use finetune_training::{Epoch, Observer, Step};

/// Shows loss, accuracy, learning rate and speed on Burn's dashboard. It needs a terminal on
/// stdout.
///
/// If the user presses `q` and confirms, the run ends after the current step.
pub struct Dashboard {
    renderer: TuiMetricsRendererWrapper,
    interrupter: Interrupter,
    epochs: usize,
    /// The epoch (from 1) that is shown.
    shown: Option<usize>,
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dashboard")
            .field("epochs", &self.epochs)
            .finish_non_exhaustive()
    }
}

/// A curve of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Loss,
    Accuracy,
    LearningRate,
    Speed,
}

impl Curve {
    const ALL: [Self; 4] = [Self::Loss, Self::Accuracy, Self::LearningRate, Self::Speed];

    fn name(self) -> &'static str {
        match self {
            Self::Loss => "Loss",
            Self::Accuracy => "Accuracy",
            Self::LearningRate => "Learning rate",
            Self::Speed => "Images per second",
        }
    }

    fn unit(self) -> Option<&'static str> {
        (self == Self::Accuracy).then_some("%")
    }

    fn higher_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::Speed)
    }

    fn id(self) -> MetricId {
        MetricId::new(Arc::new(self.name().to_owned()))
    }

    fn state(self, value: f64) -> MetricState {
        let text = format!("{value:.4}");
        let entry = MetricEntry::new(self.id(), SerializedEntry::new(text.clone(), text));
        MetricState::Numeric(entry, Some(NumericEntry::Value(value)))
    }
}

impl Dashboard {
    /// Takes over the terminal for a run of `epochs` epochs.
    #[must_use]
    pub fn new(epochs: usize) -> Self {
        let interrupter = Interrupter::new();
        let mut renderer = TuiMetricsRendererWrapper::new(interrupter.clone(), None);
        for curve in Curve::ALL {
            renderer.register_metric(MetricDefinition {
                metric_id: curve.id(),
                name: Arc::new(curve.name().to_owned()),
                description: None,
                attributes: NumericAttributes {
                    unit: curve.unit().map(str::to_owned),
                    higher_is_better: curve.higher_is_better(),
                }
                .into(),
            });
        }
        Self {
            renderer,
            interrupter,
            epochs,
            shown: None,
        }
    }
}

impl Observer for Dashboard {
    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        let per_epoch = step.steps / self.epochs.max(1);
        if self.shown.is_none() {
            self.renderer.start(self.epochs, 1, None, None);
        }
        if self.shown != Some(step.epoch) {
            self.renderer.start_split("train", per_epoch);
            self.shown = Some(step.epoch);
        }
        #[allow(clippy::cast_precision_loss)]
        let speed = step.images as f64 / step.seconds.max(1e-9);
        for (curve, value) in [
            (Curve::Loss, step.loss),
            (Curve::Accuracy, 100.0 * step.accuracy),
            (Curve::LearningRate, step.learning_rate),
            (Curve::Speed, speed),
        ] {
            self.renderer.update_train(curve.state(value));
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
            self.renderer.update_valid(Curve::Loss.state(loss));
            self.renderer
                .update_valid(Curve::Accuracy.state(100.0 * accuracy));
        }
        self.renderer.end_split();
        self.renderer.update_epoch(epoch.epoch);
    }
}
