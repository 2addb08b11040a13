//! A flag of the table: how it is typed, explained, applied to a run, and judged beside `--resume`.

use std::fmt;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use finetune::config::RunConfig;
use finetune::folder::Plan;
use finetune_methods::catalogue::Place;

use crate::flags::base::Base;
use crate::flags::process::Process;
use crate::flags::task::Task;

/// A flag of `compare`, `train` or `inspect`. The functions of [`super`] make them.
pub(in crate::flags) struct Flag {
    /// The name, without dashes.
    pub(in crate::flags) name: &'static str,
    /// What clap knows of it.
    pub(in crate::flags) arg: Arg,
    /// What it is, in one short line.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(in crate::flags) summary: &'static str,
    /// The commands that accept it.
    pub(in crate::flags) tasks: &'static [Task],
    /// The methods that it applies to; all if empty.
    pub(in crate::flags) methods: &'static [&'static str],
    /// A flag without which it means nothing.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(in crate::flags) requires: Option<&'static str>,
    /// Names of all values of the enum that it sets.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(in crate::flags) variants: Option<fn() -> &'static [&'static str]>,
    /// What of a method it is about, if not every method has it.
    pub(in crate::flags) about: Option<About>,
    pub(in crate::flags) effect: Effect,
    pub(in crate::flags) resume: Resume,
}

/// What of a method a flag is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flags) enum About {
    /// Training in steps, with images that may be changed at random.
    Steps,
    /// A loss.
    Loss,
}

impl About {
    /// Whether the method of a run has it.
    pub(in crate::flags) fn concerns(self, run: &RunConfig) -> bool {
        match self {
            Self::Steps => !run.method.fits(),
            Self::Loss => run.method.place() != Place::Head,
        }
    }
}

/// As the end of a sentence about a flag: `--epochs is about …`.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "training in steps",
            Self::Loss => "a loss",
        })
    }
}

/// Applies what was typed to `T`.
type Apply<T, R = ()> = Box<dyn Fn(&mut T, &ArgMatches) -> R>;

/// What a flag changes.
pub(in crate::flags) enum Effect {
    /// What a run's defaults depend on; applied first, defaults of the flag included.
    Base(Apply<Base>),
    /// A run; applied in the order of the table if the flag is typed.
    Run(Apply<RunConfig, Result<()>>),
    /// This process; defaults of the flag included.
    Process(Apply<Process>),
}

/// What `--resume` does with a flag that is typed beside it.
#[derive(Debug, Clone, Copy)]
pub(in crate::flags) enum Resume {
    /// Applies it, because it changes no result.
    Honour,
    /// Rejects it if it would change one of the saved runs.
    MustAgree,
    /// Rejects it and the flags that are judged with the same one if together they would change a
    /// saved run.
    Together(&'static str),
    /// Rejects it if this does not hold.
    Rule(fn(&Base, &Plan) -> Result<bool>),
    /// Rejects it if a new run with all typed flags would have another recipe than the saved ones.
    SameRecipe,
    /// Rejects it in any case.
    Conflict,
}

impl Flag {
    /// What `--resume` does with it; [`Resume::MustAgree`] unless this is called.
    pub(in crate::flags) fn resume(mut self, rule: Resume) -> Self {
        self.resume = rule;
        self
    }

    /// What it is about, unless that was said before.
    pub(in crate::flags) fn about(mut self, what: About) -> Self {
        self.about.get_or_insert(what);
        self
    }

    /// Whether it says something about the run.
    pub(in crate::flags) fn concerns(&self, run: &RunConfig) -> bool {
        self.about.is_none_or(|about| about.concerns(run))
    }

    /// Whether it was typed, or is in the file of settings.
    pub(in crate::flags) fn is_typed(&self, matches: &ArgMatches) -> bool {
        matches.value_source(self.name) == Some(ValueSource::CommandLine)
    }

    /// Columns that it takes in help: `--name <VALUE>`.
    pub(in crate::flags) fn width(&self) -> usize {
        let values = self.arg.get_value_names().unwrap_or_default();
        let values = values.iter().map(|value| value.len() + 3);
        "--".len() + self.name.len() + values.sum::<usize>()
    }

    /// Whether it may be typed several times, once per value.
    pub(in crate::flags) fn is_repeatable(&self) -> bool {
        let appends = matches!(self.arg.get_action(), ArgAction::Append);
        appends && self.arg.get_value_delimiter().is_none()
    }

    /// Applies it to a run, if it was typed and concerns the run.
    pub(in crate::flags) fn apply(&self, run: &mut RunConfig, matches: &ArgMatches) -> Result<()> {
        match &self.effect {
            Effect::Run(effect) if self.is_typed(matches) && self.concerns(run) => {
                effect(run, matches)
            }
            _ => Ok(()),
        }
    }
}

/// As it is typed: `--epochs`.
impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.name)
    }
}
