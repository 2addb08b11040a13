//! The story of a comparison: check, run, report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use finetune_evaluation::{
    DatasetInfo, Failure, Prefer, Report, Run, SideBySide, SkippedImage, Tried, VERSION,
};

use super::check::{Checked, check, inputs};
use super::forecast::{Forecast, trials, within};
use super::launcher::{Launcher, Position, Queued};
use super::matching::{is_done, is_of, sort};
use super::tune::tune;
use super::weights::{make_missing, pin};
use crate::config::{Decoded, RunConfig};
use crate::error::{Error, one_line};
use crate::folder::{Lock, Occupied, Plan, RunFolder, vacant, write_report};
use crate::identity::Inputs;
use crate::machine::precision::described;
use crate::machine::threads::{share, use_threads};
use crate::run::{Job, Observer};
use crate::weights::describe;

/// Runs on the same images and device, and the folder for their files.
///
/// The report is written after each run, so that a comparison that is interrupted can be
/// [resumed](Self::resume).
#[derive(Debug, Clone)]
pub struct Comparison {
    folder: PathBuf,
    plan: Plan,
    /// The finished runs of a comparison that is resumed.
    done: Vec<Run>,
    /// Those that were stopped.
    stopped: Vec<Run>,
    resumes: bool,
    replace: bool,
    /// What runs that are repeated were started with.
    repeats: Option<Inputs>,
    command: String,
    started: Option<SystemTime>,
    /// Seconds that each run has, instead of a number of epochs.
    budget: Option<f64>,
    /// Number of candidates among which the settings of each method are chosen.
    tune: usize,
    /// What was tried.
    tried: Vec<Tried>,
    /// What counts besides accuracy for the recommendation.
    prefer: Prefer,
    /// Whether the base weights have another place than the plan in the folder says.
    moved: bool,
    /// The lock of the folder of a comparison that is resumed.
    lock: Option<Arc<Lock>>,
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
            moved: false,
            lock: None,
        }
    }

    /// The same runs once more, with files in a new folder. If base weights or images are others than
    /// they were, the observer gets a note about it.
    #[must_use]
    pub fn repeat(folder: impl Into<PathBuf>, plan: Plan) -> Self {
        Self {
            repeats: Some(plan.inputs),
            ..Self::new(folder, plan.runs)
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
        Ok(Self {
            folder,
            plan,
            done,
            stopped,
            resumes: true,
            replace: false,
            repeats: None,
            command: String::new(),
            started: None,
            budget: None,
            tune: 1,
            tried,
            prefer,
            moved: false,
            lock: Some(Arc::new(lock)),
        })
    }

    /// Whether new runs may have a folder that is not empty. The files of earlier runs in it are
    /// removed, all others stay.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
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
        let done = &self.done;
        let runs = self.plan.runs.iter_mut();
        runs.filter(|run| !is_done(done, run))
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
        Ok(())
    }

    /// Does the runs and writes their files and the report.
    ///
    /// A run that fails does not end the comparison: [`Report::failed`] says why it did. If the
    /// observer requests a stop, the current runs are saved and [`Report::interrupted`] is set.
    ///
    /// # Errors
    ///
    /// There are no runs, something is found to be wrong before the first run (then no file is
    /// written), or a file of the comparison cannot be written.
    pub fn run(
        mut self,
        launcher: &mut impl Launcher,
        observer: &mut impl Observer,
    ) -> Result<Report, Error> {
        let started = self.started.unwrap_or_else(SystemTime::now);
        if self.plan.runs.is_empty() {
            return Err(Error::Usage("there are no runs to compare".to_owned()));
        }
        let folder = self.plan.folder(&self.folder);
        let mut left: Vec<RunConfig> = self.left_mut().map(|run| run.clone()).collect();
        if left.is_empty() {
            left.clone_from(&self.plan.runs);
        }
        for run in &self.plan.runs {
            run.check()?;
        }
        use_threads(left[0].threads)?;
        if self.resumes {
            folder.remove_temporary_files()?;
        } else {
            vacant(&folder, &left[0].data, self.replace)?;
        }
        let Checked {
            data,
            mut understood,
        } = check(&left, &self.plan.inputs, observer)?;
        for run in self.plan.runs.iter_mut().chain(&mut left) {
            run.settle(&data.train.classes);
        }
        understood.out = self.folder.display().to_string();
        understood.side_by_side = side_by_side(launcher, left.len());
        observer.on_understood(&understood);
        let mut occupied = None;
        if !self.resumes {
            make_missing(&left, launcher, observer)?;
            for config in &mut self.plan.runs {
                pin(config)?;
            }
            self.plan.inputs = inputs(&self.plan.runs, &data)?;
            let former = self.repeats.as_ref();
            for note in former.map_or_else(Vec::new, |former| {
                former.changes(&self.plan.inputs, &left[0].data)
            }) {
                observer.note(&note);
            }
            occupied = Some(Occupied::new(&folder, self.replace)?);
            if let Err(error) = self.decide(&data, launcher, observer) {
                if let Some(occupied) = occupied {
                    occupied.abandon()?;
                }
                return Err(error);
            }
        }
        let first = self.left_mut().next().map(|run| run.clone());
        let mut report = self.report(first.as_ref().unwrap_or(&left[0]), &data);
        report.understood = Some(understood);
        // The runs open their images themselves.
        drop(data);
        if self.resumes {
            if self.moved {
                self.plan.begin(&folder)?;
            }
            // The process may have been killed after writing only one of the two files.
            self.save(&report, &folder)?;
        } else {
            self.plan.begin(&folder)?;
        }
        let resumed = self.lock.clone();
        let lock = occupied.as_ref().map(|occupied| &occupied.lock);
        let lock = lock.or(resumed.as_deref());
        self.run_all(&mut report, &folder, (started, lock), launcher, observer)?;
        if !report.interrupted && report.failed.is_empty() {
            Plan::finish(&folder)?;
        }
        if let Some(occupied) = occupied
            && report.runs.is_empty()
            && !report.interrupted
            && !self.has_begun(&folder)
        {
            // Nothing to resume from, and nothing to look at but why the runs failed, which the
            // caller is told.
            occupied.abandon()?;
        }
        Ok(report)
    }

    /// Chooses what was left to be chosen: epochs by time, settings by validation images.
    fn decide(
        &mut self,
        data: &Decoded,
        launcher: &mut impl Launcher,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let runs = &mut self.plan.runs;
        if let Some(budget) = self.budget {
            let forecasts = trials(runs, data, launcher, observer)?;
            within(runs, &forecasts, budget)?;
        }
        if self.tune > 1 {
            self.tried = tune(runs, self.tune, data, launcher, observer)?;
        }
        Ok(())
    }

    /// Predicts how long each method takes and how much memory it needs, from a few steps of its first
    /// run. Nothing is written but temporary files.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), or a trial fails.
    pub fn forecast(
        mut self,
        launcher: &mut impl Launcher,
        observer: &mut impl Observer,
    ) -> Result<Vec<Forecast>, Error> {
        let mut left: Vec<RunConfig> = self.left_mut().map(|run| run.clone()).collect();
        let Some(first) = left.first() else {
            return Ok(Vec::new());
        };
        use_threads(first.threads)?;
        let Checked {
            data,
            mut understood,
        } = check(&left, &self.plan.inputs, observer)?;
        understood.out = self.folder.display().to_string();
        understood.side_by_side = side_by_side(launcher, left.len());
        observer.on_understood(&understood);
        make_missing(&left, launcher, observer)?;
        for run in &mut left {
            run.settle(&data.train.classes);
            pin(run)?;
        }
        trials(&left, &data, launcher, observer)
    }

    /// Whether a run has begun to train, or has written something from which it can go on.
    fn has_begun(&self, folder: &RunFolder) -> bool {
        let mut runs = self.plan.runs.iter();
        runs.any(|run| {
            folder.checkpoint(run).exists()
                || !folder.checkpointed_epochs(run).is_empty()
                || folder.events(run).exists()
        })
    }

    /// Does the runs that the report lacks.
    fn run_all<O: Observer>(
        &self,
        report: &mut Report,
        folder: &RunFolder,
        (started, lock): (SystemTime, Option<&Lock>),
        launcher: &mut impl Launcher,
        observer: &mut O,
    ) -> Result<(), Error> {
        let runs = self.plan.runs.iter().enumerate();
        let mut queue: Vec<Queued<'_>> = runs
            .filter(|(_, config)| !is_done(&report.runs, config))
            .map(|(index, config)| Queued {
                job: Job {
                    config,
                    folder,
                    started: None,
                    inputs: &self.plan.inputs,
                    lock,
                    trial: None,
                },
                position: Position {
                    number: index + 1,
                    runs: self.plan.runs.len(),
                },
            })
            .collect();
        if let Some(first) = queue.first_mut() {
            first.job.started = Some(started);
        }
        let beside = side_by_side(launcher, queue.len());
        let mut left = queue.len();
        launcher.run(&queue, observer, &mut |index, outcome, observer: &mut O| {
            left -= 1;
            let config = queue[index].job.config;
            match outcome {
                Ok(mut run) => {
                    let before = self.stopped.iter().find(|before| is_of(before, config));
                    let before = before.and_then(|before| before.side_by_side);
                    run.side_by_side = SideBySide::most(before, beside);
                    report.runs.push(run);
                }
                // Nothing was done, or nothing since its last checkpoint.
                Err(Error::Stopped(_)) => report.interrupted = true,
                Err(error) => report.failed.push(Failure {
                    method: config.method_name().to_owned(),
                    seed: config.seed,
                    error: one_line(&error),
                }),
            }
            report.interrupted |= observer.stop_requested();
            sort(report, &self.plan);
            self.save(report, folder)
        })?;
        report.interrupted |= left > 0;
        Ok(())
    }

    /// Writes what is known so far: the report, and the configuration of the finished runs.
    fn save(&self, report: &Report, folder: &RunFolder) -> Result<(), Error> {
        if report.runs.is_empty() && report.failed.is_empty() {
            return Ok(());
        }
        write_report(report, folder)?;
        let runs = self.plan.runs.iter();
        let done = runs.filter(|config| is_done(&report.runs, config));
        let mut plan = self.plan.with_runs(done.cloned().collect());
        for run in &report.runs {
            plan.files.extend(run.artifact_sha256.clone());
        }
        plan.write(folder)
    }

    /// A report of the runs that are finished already.
    fn report(&self, config: &RunConfig, data: &Decoded) -> Report {
        let skipped = data.skipped().into_iter().map(|broken| SkippedImage {
            image: broken.image,
            reason: broken.reason,
        });
        Report {
            version: VERSION,
            command: self.command.clone(),
            dataset: DatasetInfo {
                path: data.name.clone(),
                classes: data.train.classes.clone(),
                train: data.train.len(),
                valid: data.valid.as_ref().map_or(0, finetune_data::Images::len),
                test: data.test.len(),
                skipped: skipped.collect(),
            },
            model: config.model.clone(),
            weights: describe(config),
            device: config.device.clone(),
            threads: config.threads.unwrap_or_else(rayon::current_num_threads),
            precision: described(config.precision),
            runs: self.done.clone(),
            failed: Vec::new(),
            interrupted: false,
            tried: self.tried.clone(),
            prefer: self.prefer,
            understood: None,
        }
    }
}

/// How so many runs are done at the same time; `None` if one after the other.
fn side_by_side(launcher: &impl Launcher, runs: usize) -> Option<SideBySide> {
    let at_once = launcher.jobs().min(runs);
    (at_once > 1).then(|| SideBySide {
        runs: at_once,
        threads: share(at_once),
    })
}
