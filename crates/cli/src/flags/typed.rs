//! From typed flags to runs.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};
use clap::ArgMatches;
use finetune::config::RunConfig;
use finetune::machine::device::device;

use super::base::Base;
use super::define::{Effect, Flag};
use super::process::Process;
use super::table;
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
        let base = self.base();
        let mut runs = Vec::new();
        for seed in seeds(&base)? {
            for (index, method) in base.methods.iter().enumerate() {
                if !base.methods[..index].contains(method) {
                    runs.push(self.run(&base, method, seed, |_| true)?);
                }
            }
        }
        Ok(runs)
    }

    /// A run of a base, as changed by those of the flags that are `wanted`.
    pub(super) fn run(
        &self,
        base: &Base,
        method: &str,
        seed: u64,
        wanted: impl Fn(&Flag) -> bool,
    ) -> Result<RunConfig> {
        let mut run = base.run(method, seed)?;
        for flag in table::flags(self.task) {
            if wanted(&flag) {
                self.apply(&flag, &mut run)?;
            }
        }
        check(&run)?;
        Ok(run)
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
    if let Err((name, value, wanted)) = run.recipe.augment.check() {
        bail!(Usage(format!("{name} is {value}, but must be {wanted}")));
    }
    Ok(run.recipe.check()?)
}
