//! From typed flags to runs.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};
use clap::ArgMatches;
use finetune::config::RunConfig;
use finetune::machine::device::device;
use finetune_files::quoted;

use super::base::{Base, Weights};
use super::define::{Effect, Flag};
use super::process::Process;
use super::table::{self, SET};
use super::task::Task;
use crate::terminal::exit::Usage;

/// The flags that were typed after `compare`, `train` or `inspect`.
#[derive(Debug, Clone)]
pub struct Typed {
    task: Task,
    matches: ArgMatches,
}

impl Typed {
    pub(super) fn new(task: Task, matches: ArgMatches) -> Self {
        Self { task, matches }
    }

    /// The command that they were typed after.
    #[must_use]
    pub fn task(&self) -> Task {
        self.task
    }

    /// What the flags say about this process.
    #[must_use]
    pub fn process(&self) -> Process {
        let mut process = Process::default();
        for flag in table::flags(self.task) {
            if let Effect::Process(effect) = flag.effect {
                effect(&mut process, &self.matches);
            }
        }
        process
    }

    /// What the flags say about the configuration that others change.
    #[must_use]
    pub fn base(&self) -> Base {
        let mut base = Base::default();
        for flag in table::flags(self.task) {
            if let Effect::Base(effect) = flag.effect {
                effect(&mut base, &self.matches);
            }
        }
        base
    }

    /// The runs that were asked for: every method with every seed.
    ///
    /// # Errors
    ///
    /// Unknown names, files that cannot be read, and settings out of their ranges.
    pub fn runs(&self) -> Result<Vec<RunConfig>> {
        self.runs_of(1)
    }

    /// The same with another default number of seeds.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn runs_of(&self, seeds_by_default: u64) -> Result<Vec<RunConfig>> {
        let mut base = self.base();
        base.seeds = base.seeds.or(Some(seeds_by_default));
        // The file of the weights may be large, and is the same for all runs.
        let weights = base.weights(self.task)?;
        let mut runs = Vec::new();
        for seed in seeds(&base)? {
            for (index, method) in base.methods.iter().enumerate() {
                if !base.methods[..index].contains(method) {
                    runs.push(self.run(&base, &weights, method, seed, |_| true)?);
                }
            }
        }
        self.all_matter(&runs)?;
        Ok(runs)
    }

    /// A run of a base, as changed by those of the flags that are `wanted`.
    pub(super) fn run(
        &self,
        base: &Base,
        weights: &Weights,
        method: &str,
        seed: u64,
        wanted: impl Fn(&Flag) -> bool,
    ) -> Result<RunConfig> {
        let mut run = base.run(weights, method, seed)?;
        for flag in table::flags(self.task) {
            if wanted(&flag) {
                self.apply(&flag, &mut run)?;
            }
        }
        check(&run)?;
        Ok(run)
    }

    /// Checks that each flag changes at least one run.
    fn all_matter(&self, runs: &[RunConfig]) -> Result<()> {
        let mut methods: Vec<&str> = Vec::new();
        for run in runs {
            if !methods.contains(&run.method_name()) {
                methods.push(run.method_name());
            }
        }
        let trained = methods.join(", ");
        let trains = |name: &str| methods.contains(&name);
        for flag in self.flags() {
            if !flag.methods.is_empty() && !flag.methods.iter().any(|method| trains(method)) {
                bail!(Usage(format!(
                    "{flag} is a setting of {}, but the method is {trained}; leave it out, or choose \
                     the method {}",
                    flag.methods.join(" and "),
                    flag.methods.join(" or ")
                )));
            }
            if let Some(about) = flag.about
                && !runs.iter().any(|run| about.concerns(run))
            {
                bail!(Usage(format!(
                    "{flag} is about {about}, and there is none with {trained}; leave it out, or choose \
                     another method"
                )));
            }
            let any = |has: fn(&RunConfig) -> bool| runs.iter().any(has);
            if ABOUT_ADAPTERS.contains(&flag.name) && !any(|run| run.method.has_adapters()) {
                bail!(Usage(format!(
                    "{flag} chooses layers for adapters, and {trained} puts none on layers; leave it out, or \
                     choose another method"
                )));
            }
            if ABOUT_FROZEN_BASES.contains(&flag.name) && !any(|run| run.method.freezes_base()) {
                bail!(Usage(format!(
                    "{flag} is about a frozen base, and {trained} trains all of it; leave it out, or \
                     choose another method"
                )));
            }
        }
        for setting in self.matches.get_many::<String>(SET).into_iter().flatten() {
            let method = setting.split('.').next().unwrap_or_default();
            if !trains(method) {
                bail!(Usage(format!(
                    "--set {} is a setting of {method}, but the method is {trained}; leave it out, or \
                     choose the method {method}",
                    quoted(setting)
                )));
            }
        }
        Ok(())
    }

    /// Changes a run as a flag says, if it was typed.
    pub(super) fn apply(&self, flag: &Flag, run: &mut RunConfig) -> Result<()> {
        flag.apply(run, &self.matches)
    }

    /// The flags that were typed, in the order of the table.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let mut flags = table::flags(self.task);
        flags.retain(|flag| flag.is_typed(&self.matches));
        flags
    }
}

/// Flags about the layers that get adapters.
const ABOUT_ADAPTERS: [&str; 4] = [
    "targets",
    "exclude-targets",
    "layers-to-transform",
    "layers-pattern",
];

/// Flags about what trains although the base is frozen.
const ABOUT_FROZEN_BASES: [&str; 3] = ["modules-to-save", "batch-norm", "save"];

/// The seeds of the runs.
fn seeds(base: &Base) -> Result<RangeInclusive<u64>> {
    const MOST: u64 = 1000;
    let (seed, seeds) = (base.seed, base.seeds.unwrap_or(1));
    if !(1..=MOST).contains(&seeds) {
        bail!(Usage(format!(
            "--seeds is {seeds}, but must be from 1 to {MOST}"
        )));
    }
    match seed.checked_add(seeds - 1) {
        Some(last) => Ok(seed..=last),
        None => bail!(Usage(format!(
            "--seed {seed} leaves no room for --seeds {seeds}: the largest seed is {}",
            u64::MAX
        ))),
    }
}

/// Checks what only the whole run can tell, and whether its device exists.
fn check(run: &RunConfig) -> Result<()> {
    device(&run.device)?;
    Ok(run.check()?)
}
