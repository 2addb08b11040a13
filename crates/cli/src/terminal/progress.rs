//! The progress of a run.

use std::fmt;
use std::io::IsTerminal;
use std::ops::ControlFlow;

use finetune::machine::memory;
use finetune::run::Phase;
use finetune_training::{Epoch, Observer, Step};

use super::bar::{self, Bar};
use super::decoding::Decoding;
use super::exit::Usage;
use super::heartbeat::Heartbeat;
use super::output::note;
use super::phase::{Phases, activity};
use super::verbosity::Verbosity;
use super::{interrupt, log};

/// How progress is shown, on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ui {
    /// Burn's dashboard, on stdout.
    Tui,
    /// A bar with the time left.
    Bar,
    /// A line per epoch.
    Plain,
    /// Nothing.
    None,
}

impl Ui {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tui => "tui",
            Self::Bar => "bar",
            Self::Plain => "plain",
            Self::None => "none",
        }
    }

    /// How progress is shown if `asked` was typed: by default a bar on a terminal, lines otherwise, and
    /// nothing with `--quiet`.
    /// The dashboard draws on stdout; if that is no terminal, lines replace it.
    ///
    /// # Errors
    ///
    /// The dashboard is not built in.
    pub fn fitting(asked: Option<Self>) -> Result<Self, Usage> {
        match asked {
            Some(Self::Tui) if !std::io::stdout().is_terminal() => Ok(Self::Plain),
            Some(Self::Tui) if !cfg!(feature = "tui") => Err(Usage(
                "this program was built without the dashboard; build it with `--features tui` \
                 (`cargo xtask … --ui tui` does) or use --ui bar"
                    .to_owned(),
            )),
            Some(ui) => Ok(ui),
            None if Verbosity::chosen() == Verbosity::Quiet => Ok(Self::None),
            None if std::io::stderr().is_terminal() => Ok(Self::Bar),
            None => Ok(Self::Plain),
        }
    }
}

/// Burn's dashboard, if it is built in.
trait Dashboard: Observer + fmt::Debug {}

impl<O: Observer + fmt::Debug> Dashboard for O {}

#[cfg(feature = "tui")]
fn dashboard(ui: Ui, epochs: usize) -> Option<Box<dyn Dashboard>> {
    (ui == Ui::Tui).then(|| Box::new(super::dashboard::Dashboard::new(epochs)) as _)
}

#[cfg(not(feature = "tui"))]
fn dashboard(_: Ui, _: usize) -> Option<Box<dyn Dashboard>> {
    None
}

/// Shows a run's progress, and stops it when the user presses Ctrl-C.
#[derive(Debug)]
pub struct Progress {
    ui: Ui,
    title: String,
    epochs: usize,
    bar: Option<Bar>,
    dashboard: Option<Box<dyn Dashboard>>,
    decoding: Option<Decoding>,
    phases: Phases,
    pace: Pace,
    /// Fills long pauses between lines; a bar and a dashboard show by themselves that training goes on.
    heartbeat: Option<Heartbeat>,
}

/// The speed of a run.
#[derive(Debug, Default)]
struct Pace {
    seconds: f64,
    steps: usize,
    images: usize,
    left: usize,
}

impl Pace {
    #[allow(clippy::cast_precision_loss)]
    fn images_per_second(&self) -> f64 {
        self.images as f64 / self.seconds.max(1e-9)
    }

    /// Time left, not counting validation.
    #[allow(clippy::cast_precision_loss)]
    fn seconds_left(&self) -> f64 {
        self.seconds / self.steps.max(1) as f64 * self.left as f64
    }
}

impl Progress {
    /// The progress of one run, which is shown as `title`.
    #[must_use]
    pub fn new(ui: Ui, title: String, epochs: usize) -> Self {
        // A relayed bar is there all the time.
        let beats = ui == Ui::Plain || ui == Ui::Bar && !bar::is_relayed();
        let heartbeat = beats.then(|| Heartbeat::new(&title));
        let phases = Phases::new(&title);
        Self {
            heartbeat,
            ui,
            title,
            epochs,
            bar: None,
            dashboard: dashboard(ui, epochs),
            decoding: None,
            phases,
            pace: Pace::default(),
        }
    }

    /// Stops if the user pressed Ctrl-C.
    fn flow(&self) -> ControlFlow<()> {
        if finetune::Observer::stop_requested(self) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Says what goes on from now on; nothing while a bar shows it.
    fn does(&self, activity: impl FnOnce() -> String) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.does(match self.ui {
                Ui::Bar => String::new(),
                _ => activity(),
            });
        }
    }

    /// Prints a line.
    fn note(&self, line: &str) {
        note(line);
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.printed();
        }
    }

    /// Shows a bar of so many parts.
    fn show(&mut self, done: usize, parts: usize, message: String) {
        let title = &self.title;
        let bar = (self.bar).get_or_insert_with(|| Bar::new(title, parts as u64));
        bar.show(done, message);
        if done == parts {
            self.bar = None;
        }
    }
}

/// The peak memory of the process as ` · 74 MiB`; empty if the system does not tell.
fn peak_memory() -> String {
    let bytes = memory::peak_memory_bytes();
    bytes.map_or_else(String::new, |bytes| {
        format!(" · {}", finetune_evaluation::bytes(bytes))
    })
}

impl Observer for Progress {
    fn on_features(&mut self, done: usize, images: usize) -> ControlFlow<()> {
        self.does(|| format!("features of the frozen layers, once: {done} of {images} images"));
        if self.ui == Ui::Bar {
            let message = "features of the frozen layers, once".to_owned();
            self.show(done, images, message);
        }
        self.flow()
    }

    fn on_fit(&mut self, plan: &str) {
        self.does(|| plan.to_owned());
        if self.ui == Ui::Bar {
            bar::does(plan);
        }
    }

    fn on_start(&mut self) {
        self.phases.end();
        interrupt::something_is_to_be_saved();
    }

    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        self.pace.seconds += step.seconds;
        self.pace.steps += 1;
        self.pace.images += step.images;
        self.pace.left = step.steps.saturating_sub(step.step);
        let speed = self.pace.images_per_second();
        let now = || {
            let Step {
                step, steps, loss, ..
            } = step;
            format!("step {step}/{steps} · loss {loss:.3} · {speed:.0} images/s")
        };
        self.does(now);
        if self.ui == Ui::Plain && self.pace.steps == 1 {
            // A sign that training has begun; the next line may be minutes away.
            self.note(&format!("{:>14} {}", self.title, now()));
        }
        if self.ui == Ui::Bar {
            let message = format!(
                "epoch {}/{} · loss {:.3} · {speed:.0} images/s{}",
                step.epoch,
                self.epochs,
                step.loss,
                peak_memory()
            );
            self.show(step.step, step.steps, message);
        }
        if let Some(dashboard) = &mut self.dashboard
            && dashboard.on_step(step).is_break()
        {
            return ControlFlow::Break(());
        }
        self.flow()
    }

    fn on_patience(&mut self, best: usize) {
        self.bar = None;
        if matches!(self.ui, Ui::Bar | Ui::Plain) {
            self.note(&format!(
                "{:>14} stops early: no later epoch was better than epoch {best}",
                self.title
            ));
        }
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.on_epoch(epoch);
        }
        let Epoch {
            epoch: number,
            train_loss,
            train_accuracy,
            seconds,
            images_per_second,
            ..
        } = epoch;
        let valid = epoch
            .valid_accuracy
            .map(|accuracy| format!(" · validation {:.2} %", 100.0 * accuracy))
            .unwrap_or_default();
        let left = match self.pace.seconds_left() {
            left if left > 0.0 => format!(" · {} left", finetune_evaluation::seconds(left)),
            _ => String::new(),
        };
        let line = format!(
            "{:>14} epoch {number}/{} · loss {train_loss:.4} · training {:.2} %{valid} · {} · {images_per_second:.0} images/s{}{left}",
            self.title,
            self.epochs,
            100.0 * train_accuracy,
            finetune_evaluation::seconds(*seconds),
            peak_memory()
        );
        match self.ui {
            Ui::Plain => self.note(&line),
            Ui::Bar if *number == self.epochs => {
                self.bar = None;
                note(&line);
            }
            _ => log::write(&line),
        }
    }
}

impl finetune::Observer for Progress {
    fn note(&mut self, text: &str) {
        if bar::is_relayed() {
            // Beside others, it must be said which run it is about.
            Self::note(self, &format!("{:>14} {text}", self.title));
        } else {
            Self::note(self, text);
        }
    }

    fn on_phase(&mut self, phase: Phase) {
        self.phases.begins(phase);
        let decodes = phase == Phase::Images;
        self.decoding = decodes.then(|| Decoding::new(&self.title, self.ui == Ui::Bar));
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.does(activity(phase));
        }
        if self.ui == Ui::Bar {
            bar::does(activity(phase));
        }
    }

    fn on_images(&mut self, decoded: usize, images: usize) {
        if let Some(decoding) = &mut self.decoding {
            decoding.show(decoded, images, self.heartbeat.as_ref());
        }
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }
}
