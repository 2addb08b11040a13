//! The story of a comparison: check, run, report.

use std::time::SystemTime;

use finetune_evaluation::{DatasetInfo, Report, SideBySide, SkippedImage, VERSION};

use super::check::{Checked, check, inputs};
use super::definition::{Comparison, Part};
use super::few::{on_fewer, shortened, too_many};
use super::forecast::{Forecast, trials, within};
use super::launcher::{Launcher, Position, Queued};
use super::matching::{failure, is_done, is_of, sort};
use super::tune::tune;
use super::weights::{make_missing, pin};
use crate::config::{Decoded, RunConfig};
use crate::error::Error;
use crate::folder::{Lock, Occupied, Plan, RunFolder, vacant, write_cards, write_report};
use crate::machine::precision::described;
use crate::machine::threads::{share, use_threads};
use crate::run::{Job, Observer};
use crate::weights::describe;

impl Comparison {
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
        let mut left = self.left();
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
        let Checked { data, understood } = self.understand(&left, launcher, observer)?;
        for run in self.plan.runs.iter_mut().chain(&mut left) {
            run.settle(&data.train.classes);
        }
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
        let first = self.left().into_iter().next();
        let mut report = self.report(first.as_ref().unwrap_or(&left[0]), &data);
        report.understood = Some(understood);
        // The runs open their images themselves.
        drop(data);
        observer.on_begin();
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
        if let Some(few) = self.take_few()
            && !report.runs.is_empty()
        {
            self.run_few(few, &mut report, launcher, observer)?;
        }
        if !report.is_interrupted() && report.failures().next().is_none() {
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

    /// Checks the runs and tells the observer what was understood.
    fn understand(
        &mut self,
        left: &[RunConfig],
        launcher: &impl Launcher,
        observer: &mut impl Observer,
    ) -> Result<Checked, Error> {
        let mut checked = check(left, &self.plan.inputs, observer)?;
        if let Some(per_class) = self.plan.few
            && let Some(reason) = too_many(per_class, &checked.data)
        {
            observer.note(&reason);
            self.plan.few = None;
        }
        checked.understood.few = self.plan.few;
        checked.understood.out = self.folder.display().to_string();
        checked.understood.side_by_side = side_by_side(launcher, left.len());
        observer.on_understood(&checked.understood);
        Ok(checked)
    }

    /// The comparison on fewer images, if there is one.
    fn take_few(&mut self) -> Option<Part> {
        let per_class = self.plan.few?;
        let part = self.few.take().unwrap_or_else(|| {
            let folder = self.plan.folder(&self.folder).few(per_class);
            let runs = on_fewer(&self.plan.runs, per_class);
            Part::Left(Box::new(Self::new(folder, runs).replace(self.replace)))
        });
        Some(match part {
            Part::Left(mut rest) => {
                rest.command.clone_from(&self.command);
                rest.prefer = self.prefer;
                Part::Left(rest)
            }
            done @ Part::Done(_) => done,
        })
    }

    /// Does the runs on fewer images and adds them to the report, which stays what it is if they fail.
    fn run_few(
        &self,
        few: Part,
        report: &mut Report,
        launcher: &mut impl Launcher,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let Some(per_class) = self.plan.few else {
            return Ok(());
        };
        let outcome = match few {
            Part::Done(done) => Ok(*done),
            Part::Left(_) if report.interrupted => return Ok(()),
            Part::Left(rest) => rest.run(launcher, observer),
        };
        let folder = self.plan.folder(&self.folder);
        let few = folder.few(per_class);
        report.few = Some(shortened(per_class, &few, &self.plan.runs, outcome));
        self.save(report, &folder)
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
        let mut left = self.left();
        let mut forecasts = Vec::new();
        if let Some(first) = left.first() {
            use_threads(first.threads)?;
            let Checked { data, .. } = self.understand(&left, launcher, observer)?;
            make_missing(&left, launcher, observer)?;
            for run in &mut left {
                run.settle(&data.train.classes);
                pin(run)?;
            }
            forecasts = trials(&left, &data, launcher, observer)?;
        }
        if let Some(Part::Left(few)) = self.take_few() {
            forecasts.extend(few.forecast(launcher, observer)?);
        }
        Ok(forecasts)
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
                Err(error) => report.failed.push(failure(config, &error)),
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
        write_cards(report, &self.plan.runs, folder)?;
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
            few: None,
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
