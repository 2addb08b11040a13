//! Runs the sides of a comparison alternately, and relates their numbers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use finetune::evaluation::median;
use finetune::machine::precision::Precision;

use crate::job::{Job, Kind, Measured, Side};
use crate::ours;
use crate::python::{Python, answer};
use crate::results::{Ratio, Row, Samples};

/// The first steps of a process do not count: they fill caches and memory pools.
pub(crate) const WARM_UP: usize = 2;

/// Largest relative difference of the first step's losses at which both sides compute the same.
const SAME: f64 = 1e-3;

/// The same with products of bfloat16 values, of which PyTorch can also be tried with other ones.
const HALVED: f64 = 3e-2;

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) side: Side,
    pub(crate) job: Job,
}

/// The programs that measure.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) python: Python,
    /// The `finetune` command.
    pub(crate) program: PathBuf,
    pub(crate) scratch: PathBuf,
}

impl Bench {
    fn once(&self, Entry { side, job }: &Entry) -> Result<Measured> {
        match (side, job.kind) {
            (Side::Pytorch, _) => self.python.measure(job),
            (_, Kind::Run) => ours::run(job, &self.program, &self.scratch),
            (side, Kind::Step) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("child");
                if *side == Side::Burn {
                    command.arg("--burn");
                }
                answer(command, job).with_context(|| format!("{} side", side.name()))
            }
        }
    }

    /// Measures all entries alternately, in reverse order in every second repetition.
    pub(crate) fn measure(
        &self,
        entries: &[Entry],
        repetitions: usize,
    ) -> Result<Vec<Vec<Measured>>> {
        let mut measured = vec![Vec::new(); entries.len()];
        for repetition in 0..repetitions {
            let mut order: Vec<usize> = (0..entries.len()).collect();
            if repetition % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let mut entry = entries[index].clone();
                if entry.job.kind == Kind::Run {
                    entry.job.seed = repetition as u64;
                }
                let Entry { side, job } = &entry;
                eprintln!(
                    "{}/{repetitions} {} {} {} px: {} {}",
                    repetition + 1,
                    job.model,
                    job.method,
                    job.size,
                    side.name(),
                    job.variant,
                );
                measured[index].push(self.once(&entry)?);
            }
        }
        Ok(measured)
    }
}

/// Compares our measurements with theirs.
pub(crate) fn row(ours: (&Entry, &[Measured]), theirs: (&Entry, &[Measured])) -> Row {
    let job = &ours.0.job;
    let (a, b) = (samples(ours.0, ours.1), samples(theirs.0, theirs.1));
    let whole = !a.whole_seconds.is_empty();
    Row {
        model: job.model.clone(),
        size: job.size,
        batch: job.batch,
        threads: job.threads,
        time: Ratio::of(&a.seconds, &b.seconds),
        whole: whole.then(|| Ratio::of(&a.whole_seconds, &b.whole_seconds)),
        memory: Ratio::of(&a.peaks(), &b.peaks()),
        own_memory: a
            .own_peaks()
            .zip(b.own_peaks())
            .map(|(a, b)| Ratio::of(&a, &b)),
        ours: a,
        theirs: b,
    }
}

/// The place of the fastest of several entries.
pub(crate) fn fastest(entries: &[(&Entry, &[Measured])]) -> Option<usize> {
    let time = |place: &usize| {
        let (entry, measured) = entries[*place];
        median(&samples(entry, measured).seconds)
    };
    (0..entries.len()).min_by(|one, other| time(one).total_cmp(&time(other)))
}

fn samples(entry: &Entry, measured: &[Measured]) -> Samples {
    let seconds = |one: &Measured| match one.train_seconds {
        Some(seconds) => seconds,
        None => median(&one.step_seconds[WARM_UP.min(one.step_seconds.len() - 1)..]),
    };
    Samples {
        side: entry.side,
        method: entry.job.method.clone(),
        variant: entry.job.variant.clone(),
        seconds: measured.iter().map(seconds).collect(),
        whole_seconds: measured
            .iter()
            .filter_map(|one| one.whole_seconds)
            .collect(),
        peak_bytes: measured.iter().map(|one| one.peak_bytes).collect(),
        rest_bytes: measured.iter().map(|one| one.rest_bytes).collect(),
        accuracy: measured.iter().filter_map(|one| one.accuracy).collect(),
        first_loss: measured
            .iter()
            .filter_map(|one| one.losses.first().copied())
            .collect(),
        trainable: measured.first().map_or(0, |one| one.trainable),
    }
}

/// Describes why the two sides of a row did not compute the same, if they did not.
pub(crate) fn difference(row: &Row, precision: Precision) -> Option<String> {
    let name = format!("{} {} {} px", row.model, row.ours.method, row.size);
    let same = match precision {
        Precision::F32 => SAME,
        Precision::Bf16 => HALVED,
    };
    let pairs = row.ours.first_loss.iter().zip(&row.theirs.first_loss);
    for (ours, theirs) in pairs {
        let far = (ours - theirs).abs() / theirs.abs();
        if far.is_nan() || far > same {
            return Some(format!("{name}: the first losses are {ours} and {theirs}"));
        }
    }
    let (ours, theirs) = (row.ours.trainable, row.theirs.trainable);
    (row.ours.method == row.theirs.method && ours != theirs)
        .then(|| format!("{name}: {ours} and {theirs} parameters are trainable"))
}

/// Path of the `finetune` command, which is in the same folder as this program.
pub(crate) fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the path of this program")?;
    let name = format!("finetune{}", std::env::consts::EXE_SUFFIX);
    Ok(own.parent().unwrap_or(Path::new(".")).join(name))
}
