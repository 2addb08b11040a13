//! What a comparison consists of, and where it begins: new, as a repetition, or where it was interrupted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use finetune_evaluation::{Prefer, Report, Run, Tried};

use super::few::on_fewer;
use super::matching::is_done;
use crate::config::RunConfig;
use crate::error::Error;
use crate::folder::{Lock, Plan, RunFolder};
use crate::identity::Inputs;

/// Runs on the same images and device, and the folder for their files.
///
/// The report is written after each run, so that a comparison that is interrupted can be
/// [resumed](Self::resume).
#[derive(Debug, Clone)]
pub struct Comparison {
    pub(super) folder: PathBuf,
    pub(super) plan: Plan,
    /// The finished runs of a comparison that is resumed.
    pub(super) done: Vec<Run>,
    /// Those that were stopped.
    pub(super) stopped: Vec<Run>,
    pub(super) resumes: bool,
    pub(super) replace: bool,
    /// What runs that are repeated were started with.
    pub(super) repeats: Option<Inputs>,
    pub(super) command: String,
    pub(super) started: Option<SystemTime>,
    /// Seconds that each run has, instead of a number of epochs.
    pub(super) budget: Option<f64>,
    /// Number of candidates among which the settings of each method are chosen.
    pub(super) tune: usize,
    /// What was tried.
    pub(super) tried: Vec<Tried>,
    /// What counts besides accuracy for the recommendation.
    pub(super) prefer: Prefer,
    /// The same runs on fewer images, as far as they were begun.
    pub(super) few: Option<Part>,
    /// Whether the base weights have another place than the plan in the folder says.
    pub(super) moved: bool,
    /// The lock of the folder of a comparison that is resumed.
    pub(super) lock: Option<Arc<Lock>>,
}

/// A comparison that may have been begun before.
#[derive(Debug, Clone)]
pub enum Part {
    /// It was finished, with this report.
    Done(Box<Report>),
    /// What is left of it, which may be all.
    Left(Box<Comparison>),
}

impl Comparison {
    /// A comparison of these runs, whose files go into a new folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, runs: impl IntoIterator<Item = RunConfig>) -> Self {
        Self {
            folder: folder.into(),
            plan: Plan::new(runs.into_iter().collect()),
            done: Vec::new(),
            stopped: Vec::new(),
            resumes: false,
            replace: false,
            repeats: None,
            command: String::new(),
            started: None,
            budget: None,
            tune: 1,
            tried: Vec::new(),
            prefer: Prefer::default(),
            few: None,
            moved: false,
            lock: None,
        }
    }

    /// The comparison of these runs in a folder that may have it already: finished, or interrupted, so
    /// that it is [resumed](Self::resume).
    ///
    /// # Errors
    ///
    /// It was interrupted and cannot be resumed.
    pub fn part(folder: impl Into<PathBuf>, runs: Vec<RunConfig>) -> Result<Part, Error> {
        let folder = folder.into();
        let names = RunFolder::new(&folder, false);
        if names.plan().exists() {
            return Ok(Part::Left(Box::new(Self::resume(folder)?)));
        }
        let report = Report::read(&names.report()).ok();
        let whole = |report: &Report| {
            let done = |run: &RunConfig| is_done(&report.runs, run);
            report.failures().next().is_none()
                && !report.is_interrupted()
                && report.runs.len() == runs.len()
                && runs.iter().all(done)
        };
        Ok(match report.filter(whole) {
            Some(report) => Part::Done(Box::new(report)),
            None => Part::Left(Box::new(Self::new(folder, runs))),
        })
    }

    /// The same runs once more, with files in a new folder. If base weights or images are others than
    /// they were, the observer gets a note about it.
    #[must_use]
    pub fn repeat(folder: impl Into<PathBuf>, plan: Plan) -> Self {
        Self {
            repeats: Some(plan.inputs),
            ..Self::new(folder, plan.runs).few(plan.few)
        }
    }

    /// The rest of a comparison that was interrupted. Runs that were stopped continue, runs that
    /// failed start again. The folder is locked from now on.
    ///
    /// # Errors
    ///
    /// The folder holds no unfinished runs, its files are not valid, or another process works in it.
    pub fn resume(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        // A folder without a plan is not touched.
        drop(Plan::read_unfinished(&folder)?);
        let lock = Lock::of(&RunFolder::new(&folder, false))?;
        // Whoever had the lock may have finished the runs.
        let plan = Plan::read_unfinished(&folder)?;
        let report = plan.folder(&folder).report();
        let (mut done, mut tried, mut prefer) = (Vec::new(), Vec::new(), Prefer::default());
        if report.exists() {
            Report {
                runs: done,
                tried,
                prefer,
                ..
            } = Report::read(&report)?;
        }
        let (stopped, done) = done.into_iter().partition(|run| run.stopped);
        let few = plan.few.map(|per_class| {
            let few = plan.folder(&folder).few(per_class);
            Self::part(few, on_fewer(&plan.runs, per_class))
        });
        Ok(Self {
            plan,
            done,
            stopped,
            resumes: true,
            tried,
            prefer,
            few: few.transpose()?,
            lock: Some(Arc::new(lock)),
            ..Self::new(folder, [])
        })
    }

    /// Whether new runs may have a folder that is not empty. The files of earlier runs in it are
    /// removed, all others stay.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Also does the same runs on so many training images per class, in a folder within the folder; the
    /// report shows both results. The default is not to.
    #[must_use]
    pub fn few(mut self, per_class: Option<usize>) -> Self {
        self.plan.few = per_class;
        self
    }

    /// The command that the report names, to repeat the comparison.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// When the comparison began to start up, for the start-up time of the first run; by default,
    /// when [`run`](Self::run) is called.
    #[must_use]
    pub fn started(mut self, time: SystemTime) -> Self {
        self.started = Some(time);
        self
    }

    /// Gives each run so many seconds instead of a number of epochs: after a trial of each method, it gets
    /// as many epochs as it will have time for. Comparisons that are resumed have their epochs already.
    #[must_use]
    pub fn budget(mut self, seconds: f64) -> Self {
        self.budget = Some(seconds);
        self
    }

    /// Chooses the settings of each method among so many candidates by the validation images, before the
    /// runs; with 1, methods keep their settings. Comparisons that are resumed have chosen already.
    #[must_use]
    pub fn tune(mut self, trials: usize) -> Self {
        self.tune = trials.max(1);
        self
    }

    /// What counts besides accuracy for the report's recommendation.
    #[must_use]
    pub fn prefer(mut self, prefer: Prefer) -> Self {
        self.prefer = prefer;
        self
    }

    /// All runs, those that are finished included.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The runs that are still to be done.
    pub fn left_mut(&mut self) -> impl Iterator<Item = &mut RunConfig> {
        let few = match &mut self.few {
            Some(Part::Left(rest)) => Some((&mut rest.plan.runs, &rest.done)),
            _ => None,
        };
        let all = std::iter::once((&mut self.plan.runs, &self.done)).chain(few);
        all.flat_map(|(runs, done)| runs.iter_mut().filter(|run| !is_done(done, run)))
    }

    /// Those of them on all images.
    pub(super) fn left(&self) -> Vec<RunConfig> {
        let runs = self.plan.runs.iter();
        runs.filter(|run| !is_done(&self.done, run))
            .cloned()
            .collect()
    }

    /// The base weights are now in this file, to which they were moved.
    ///
    /// # Errors
    ///
    /// [`Error::MovedBase`] if it is another file than the runs started from, as far as that is
    /// recorded.
    pub fn move_weights(&mut self, file: &Path) -> Result<(), Error> {
        if let Some(weights) = &mut self.plan.inputs.weights {
            weights.verify_moved(file)?;
            weights.origin = file.display().to_string();
        }
        let runs = self.plan.runs.iter_mut();
        for run in runs.filter(|run| run.starts_from_file()) {
            self.moved |= run.weights.as_deref() != Some(file);
            run.weights = Some(file.to_owned());
        }
        match &mut self.few {
            Some(Part::Left(rest)) => rest.move_weights(file),
            _ => Ok(()),
        }
    }
}
