//! How a flag of the table is defined: one expression says how it is typed, what help says about it,
//! and what it changes.
//!
//! ```text
//! value("epochs", "N")
//!     .help("Passes over the training images")
//!     .default("12")
//!     .sets(|run, epochs| run.recipe.epochs = epochs)
//! ```

use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::builder::{PossibleValue, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use finetune::config::RunConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::choice::{self, Choice};
use super::flag::{Effect, Flag, Resume};
use super::variants;
use super::wrap::{COLUMNS, NO_BREAK, wrapped};
use crate::flags::base::Base;
use crate::flags::process::Process;
use crate::flags::task::Task;
use crate::terminal::progress::Ui;

/// A flag whose value is of type `T` and does nothing yet.
pub(in crate::flags) struct Definition<T> {
    name: &'static str,
    arg: Arg,
    summary: &'static str,
    details: String,
    default: Option<String>,
    tasks: &'static [Task],
    methods: &'static [&'static str],
    requires: Option<&'static str>,
    variants: Option<fn() -> &'static [&'static str]>,
    read: fn(&ArgMatches, &str) -> Option<T>,
}

/// A flag with a value. Help shows the value as `metavar`.
pub(in crate::flags) fn value<T: Value>(
    name: &'static str,
    metavar: &'static str,
) -> Definition<T> {
    parsed(name, metavar, T::parser())
}

/// A flag with a value of a kind of its own.
pub(in crate::flags) fn value_by<T: Clone + Send + Sync + 'static>(
    name: &'static str,
    metavar: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Definition<T> {
    parsed(name, metavar, ValueParser::new(parse))
}

/// A flag with several values, separated by commas.
pub(in crate::flags) fn list<T: Value>(
    name: &'static str,
    metavar: &'static str,
) -> Definition<Vec<T>> {
    let mut list = repeated(name, metavar);
    list.arg = list.arg.value_delimiter(',').value_parser(T::item());
    list
}

/// A flag that may be typed several times.
pub(in crate::flags) fn repeated<T: Value>(
    name: &'static str,
    metavar: &'static str,
) -> Definition<Vec<T>> {
    let arg = Arg::new(name).value_name(metavar).action(ArgAction::Append);
    new(name, arg.value_parser(T::parser()), |matches, name| {
        matches
            .get_many(name)
            .map(|values| values.cloned().collect())
    })
}

/// A flag without a value, which is `true` if typed.
pub(in crate::flags) fn switch(name: &'static str) -> Definition<bool> {
    let arg = Arg::new(name).action(ArgAction::SetTrue);
    new(name, arg, |matches, name| Some(matches.get_flag(name)))
}

/// A flag that takes one of the values of an enum of a library.
pub(in crate::flags) fn choice<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static>(
    name: &'static str,
    choices: impl Into<Vec<Choice<T>>>,
) -> Definition<T> {
    let mut choice = named_choice(name, choices);
    choice.variants = Some(variants::of::<T>);
    choice
}

/// A flag that takes one of these values.
pub(in crate::flags) fn named_choice<T: Clone + Send + Sync + 'static>(
    name: &'static str,
    choices: impl Into<Vec<Choice<T>>>,
) -> Definition<T> {
    let arg = Arg::new(name).value_name("VALUE");
    let arg = arg.value_parser(Choice::parser(choices.into()));
    new(name, arg, one)
}

/// A flag that takes `on` or `off`.
pub(in crate::flags) fn on_off(
    name: &'static str,
    on: &'static str,
    off: &'static str,
) -> Definition<bool> {
    named_choice(
        name,
        [
            choice::named("on", true, on),
            choice::named("off", false, off),
        ],
    )
}

fn parsed<T: Clone + Send + Sync + 'static>(
    name: &'static str,
    metavar: &'static str,
    parser: ValueParser,
) -> Definition<T> {
    // `-1` is a value, and out of range; it is not the unknown flag `-1`.
    let arg = Arg::new(name).value_name(metavar).value_parser(parser);
    new(name, arg.allow_negative_numbers(true), one)
}

fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.get_one(name).cloned()
}

fn new<T>(name: &'static str, arg: Arg, read: fn(&ArgMatches, &str) -> Option<T>) -> Definition<T> {
    Definition {
        name,
        arg: arg.long(name),
        summary: "",
        details: String::new(),
        default: None,
        tasks: &Task::ALL,
        methods: &[],
        requires: None,
        variants: None,
        read,
    }
}

impl<T: 'static> Definition<T> {
    /// What it is, in one short line, for `-h`.
    pub(in crate::flags) fn help(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// What `--help` says in addition.
    pub(in crate::flags) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// The value without the flag. It must be the one that [`RunConfig`] has anyway; a test checks
    /// this.
    pub(in crate::flags) fn default(mut self, value: &'static str) -> Self {
        self.arg = self.arg.default_value(value);
        self
    }

    /// The values of a [`list`] without the flag. Help shows them as they would be typed.
    pub(in crate::flags) fn default_list(mut self, values: &'static [&'static str]) -> Self {
        self.arg = self.arg.default_values(values);
        self.default = Some(values.join(","));
        self
    }

    /// What help says about a value that depends on something else.
    pub(in crate::flags) fn default_is(mut self, text: &str) -> Self {
        self.default = Some(text.to_owned());
        self
    }

    /// The only commands that accept it.
    pub(in crate::flags) fn only(mut self, tasks: &'static [Task]) -> Self {
        self.tasks = tasks;
        self
    }

    /// The only methods that it applies to.
    pub(in crate::flags) fn for_methods(mut self, methods: &'static [&'static str]) -> Self {
        self.methods = methods;
        self
    }

    /// Another flag, without which it means nothing.
    pub(in crate::flags) fn requires(mut self, flag: &'static str) -> Self {
        self.arg = self.arg.requires(flag);
        self.requires = Some(flag);
        self
    }

    /// Another flag, which cannot be given at the same time.
    pub(in crate::flags) fn conflicts_with(mut self, flag: &'static str) -> Self {
        self.arg = self.arg.conflicts_with(flag);
        self
    }

    /// What its value changes in a run.
    pub(in crate::flags) fn sets<R: Outcome>(
        self,
        effect: impl Fn(&mut RunConfig, T) -> R + 'static,
    ) -> Flag {
        let (name, read) = (self.name, self.read);
        let effect = move |run: &mut RunConfig, matches: &ArgMatches| match read(matches, name) {
            Some(value) => effect(run, value).outcome(),
            None => Ok(()),
        };
        self.flag(Effect::Run(Box::new(effect)), Resume::MustAgree)
    }

    /// What its value changes in the configuration that other flags start from, and its rule for
    /// `--resume`.
    pub(in crate::flags) fn sets_base(
        self,
        effect: impl Fn(&mut Base, T) + 'static,
        rule: Resume,
    ) -> Flag {
        let (name, read) = (self.name, self.read);
        let effect = move |base: &mut Base, matches: &ArgMatches| {
            if let Some(value) = read(matches, name) {
                effect(base, value);
            }
        };
        self.flag(Effect::Base(Box::new(effect)), rule)
    }

    /// What its value changes in this process. A process that resumes runs honours it.
    pub(in crate::flags) fn sets_process(self, effect: impl Fn(&mut Process, T) + 'static) -> Flag {
        let (name, read) = (self.name, self.read);
        let effect = move |process: &mut Process, matches: &ArgMatches| {
            if let Some(value) = read(matches, name) {
                effect(process, value);
            }
        };
        self.flag(Effect::Process(Box::new(effect)), Resume::Honour)
    }

    fn flag(self, effect: Effect, resume: Resume) -> Flag {
        let values = self.arg.get_possible_values();
        let names: Vec<_> = values.iter().map(PossibleValue::get_name).collect();
        let default = match (self.default, self.arg.get_default_values()) {
            (None, [value]) => Some(value.to_string_lossy().into_owned()),
            (text, _) => text,
        };
        let default = default.map(|text| format!("[default: {text}]"));
        let mut short = self.summary.to_owned();
        if !names.is_empty() {
            short = format!("{short}: {}", names.join(", "));
        }
        if let Some(default) = &default {
            short.push(' ');
            short.extend(default.chars().map(|letter| match letter {
                ' ' => NO_BREAK,
                other => other,
            }));
        }
        let mut long = vec![wrapped(self.summary, COLUMNS)];
        long.extend((!self.details.is_empty()).then(|| wrapped(&self.details, COLUMNS)));
        long.extend((!values.is_empty()).then(|| explained(&values)));
        match self.methods {
            [] => {}
            [method] => long.push(format!("Only the method {method} has this setting.")),
            several => {
                let methods = several.join(" and ");
                long.push(format!("Only the methods {methods} have this setting."));
            }
        }
        long.extend(default);
        let takes_value = self.arg.get_action().takes_values();
        Flag {
            name: self.name,
            arg: self
                .arg
                .help(short)
                .long_help(long.join("\n\n"))
                .hide_default_value(takes_value)
                .hide_possible_values(takes_value),
            summary: self.summary,
            tasks: self.tasks,
            methods: self.methods,
            requires: self.requires,
            variants: self.variants,
            about: None,
            effect,
            resume,
        }
    }
}

/// Values and their explanations, one per line.
fn explained(values: &[PossibleValue]) -> String {
    let names = values.iter().map(|value| value.get_name().len());
    let widest = names.max().unwrap_or(0) + 1;
    let lines = values.iter().map(|value| {
        let name = format!("{}:", value.get_name());
        let help = value.get_help().map(ToString::to_string);
        let help = wrapped(&help.unwrap_or_default(), COLUMNS - widest - 3);
        let help = help.replace('\n', &format!("\n{:1$}", "", widest + 3));
        format!("- {name:<widest$} {help}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What an effect returns: nothing, or an error if the value is out of its range.
pub(in crate::flags) trait Outcome {
    fn outcome(self) -> Result<()>;
}

impl Outcome for () {
    fn outcome(self) -> Result<()> {
        Ok(())
    }
}

impl Outcome for Result<()> {
    fn outcome(self) -> Self {
        self
    }
}

/// A type that clap can parse.
pub(in crate::flags) trait Value: Clone + Send + Sync + 'static {
    fn parser() -> ValueParser;

    /// The parser of an item of a list that is separated by commas.
    fn item() -> ValueParser {
        Self::parser()
    }
}

macro_rules! values {
    ($($kind:ty: $parser:expr),+ $(,)?) => {
        $(impl Value for $kind {
            fn parser() -> ValueParser {
                $parser
            }
        })+
    };
}

values! {
    usize: ValueParser::new(whole_number::<usize>),
    u64: ValueParser::new(whole_number::<u64>),
    f32: ValueParser::new(number::<f32>),
    f64: ValueParser::new(number::<f64>),
    PathBuf: value_parser!(PathBuf),
    Ui: value_parser!(Ui).into(),
}

fn whole_number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|error: ParseIntError| {
        match error.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            _ => "write a whole number, 0 or more",
        }
        .to_owned()
    })
}

/// No setting means anything as an infinite or undefined number.
fn number<T: FromStr + Into<f64> + Copy>(text: &str) -> Result<T, String> {
    let number: Option<T> = text.trim().parse().ok();
    let number = number.filter(|number| (*number).into().is_finite());
    number.ok_or_else(|| "write a number, such as 0.1 or 1e-4".to_owned())
}

impl Value for String {
    fn parser() -> ValueParser {
        ValueParser::string()
    }

    fn item() -> ValueParser {
        ValueParser::new(item)
    }
}

/// A name without the blanks around it, as after the comma of `sft, lora`.
#[allow(clippy::unnecessary_wraps)] // clap's interface
fn item(text: &str) -> Result<String, String> {
    Ok(text.trim().to_owned())
}
