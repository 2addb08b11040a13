//! Requirements that every flag of the table must meet.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser;
use clap::builder::PossibleValue;
use finetune::config::{RunConfig, defaults};
use finetune::folder::Plan;

use super::define::{Effect, Flag, Resume};
use super::{Cli, Command, Task, Typed, table};

/// Parses the arguments after `finetune COMMAND`; returns `None` if clap rejects them.
fn typed(task: Task, arguments: &[String]) -> Option<Typed> {
    let start = ["finetune", task.name()].map(ToOwned::to_owned);
    let cli = Cli::try_parse_from(start.iter().chain(arguments)).ok()?;
    match cli.command {
        Command::Compare(flags) => Some(flags.0),
        Command::Train(flags) => Some(flags.0),
        Command::Inspect(flags) => Some(flags.0),
        _ => None,
    }
}

fn train(arguments: &[String]) -> Option<Typed> {
    typed(Task::Train, arguments)
}

/// Returns `--method M`, for a method that has the flag.
fn method(flag: &Flag) -> Vec<String> {
    let method = flag.methods.first().unwrap_or(&"lora");
    vec!["--method".to_owned(), (*method).to_owned()]
}

/// Returns the run of a command line that gives only a method.
fn plain(flag: &Flag) -> RunConfig {
    train(&method(flag)).unwrap().runs().unwrap().swap_remove(0)
}

/// Applies all flags of the command line to a run, if their values are in range.
fn applied(typed: &Typed, run: &RunConfig) -> Option<RunConfig> {
    let mut run = run.clone();
    for flag in typed.flags() {
        typed.apply(&flag, &mut run).ok()?;
    }
    Some(run)
}

fn argument(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("--{name}={value}"),
        None => format!("--{name}"),
    }
}

/// Returns the flag with a value that changes the plain run, and the changed run.
fn change(flag: &Flag) -> (Typed, RunConfig) {
    let plain = plain(flag);
    let possible = flag.arg.get_possible_values();
    let possible = possible.iter().map(|value| value.get_name().to_owned());
    let others = ["3", "0.5", "2,9", "lora.rank=3", "x"].map(ToOwned::to_owned);
    let values: Vec<Option<String>> = if flag.arg.get_action().takes_values() {
        possible.chain(others).map(Some).collect()
    } else {
        vec![None]
    };
    for value in values {
        let mut arguments = method(flag);
        arguments.push(argument(flag.name, value.as_deref()));
        arguments.extend(flag.requires.map(|other| argument(other, Some("3"))));
        let Some(typed) = train(&arguments) else {
            continue;
        };
        match applied(&typed, &plain) {
            Some(run) if run != plain => return (typed, run),
            _ => {}
        }
    }
    panic!("no value of {flag} changes a run");
}

#[test]
fn every_flag_has_a_heading_and_a_short_help() {
    for task in Task::ALL {
        let mut names = BTreeSet::new();
        for flag in table::flags(task) {
            assert!(names.insert(flag.name), "{flag} is defined twice");
            assert!(flag.arg.get_help_heading().is_some(), "{flag}");
            let long = flag.arg.get_long_help().unwrap().to_string();
            let summary = flag.summary;
            assert!(
                (3..=75).contains(&summary.chars().count()),
                "{flag}: {summary}"
            );
            assert!(!summary.ends_with('.'), "{flag}: {summary}");
            let mut lines = long.lines();
            assert!(
                lines.all(|line| line.chars().count() <= 90),
                "{flag}: {long}"
            );
            assert!(long.starts_with(summary), "{flag}: {long}");
            for value in flag.arg.get_possible_values() {
                assert!(value.get_help().is_some(), "{flag} {}", value.get_name());
            }
            for method in flag.methods {
                assert!(defaults::all_methods().contains(method), "{flag}");
            }
        }
    }
}

#[test]
fn every_variant_of_the_library_is_a_value_of_its_flag() {
    // Only the range test uses this schedule.
    const INTERNAL: [&str; 1] = ["sweep"];
    for flag in table::flags(Task::Train) {
        let Some(variants) = flag.variants else {
            continue;
        };
        let possible = flag.arg.get_possible_values();
        let possible: Vec<_> = possible.iter().map(PossibleValue::get_name).collect();
        let mut variants = variants().to_vec();
        variants.retain(|variant| !INTERNAL.contains(variant));
        assert_eq!(possible, variants, "{flag}");
    }
}

#[test]
fn a_default_that_the_help_shows_does_not_change_a_run() {
    for flag in table::flags(Task::Train) {
        let [default] = flag.arg.get_default_values() else {
            continue;
        };
        if !matches!(flag.effect, Effect::Run(_)) || !flag.arg.get_action().takes_values() {
            continue;
        }
        let mut arguments = method(&flag);
        arguments.push(argument(flag.name, default.to_str()));
        let typed = train(&arguments).unwrap();
        assert_eq!(typed.runs().unwrap(), [plain(&flag)], "{flag}");
    }
}

#[test]
fn every_flag_has_a_rule_for_resume() {
    for task in Task::ALL {
        let flags = table::flags(task);
        for flag in &flags {
            let fits = match flag.effect {
                Effect::Base(_) => matches!(flag.resume, Resume::Rule(_) | Resume::SameRecipe),
                Effect::Process(_) => matches!(flag.resume, Resume::Honour | Resume::Conflict),
                Effect::Run(_) => matches!(
                    flag.resume,
                    Resume::Honour | Resume::MustAgree | Resume::Together(_)
                ),
            };
            assert!(fits, "{flag}");
            // A group has the name of its first flag.
            if let Resume::Together(group) = flag.resume {
                let mut flags = flags.iter();
                let first = flags
                    .find(|flag| matches!(flag.resume, Resume::Together(name) if name == group));
                assert_eq!(first.unwrap().name, group);
            }
        }
    }
}

#[test]
fn resume_rejects_flags_that_would_change_a_run_and_applies_the_others() {
    let folder = Path::new("run");
    for flag in table::flags(Task::Train) {
        if !matches!(flag.effect, Effect::Run(_)) {
            continue;
        }
        let plain = plain(&flag);
        let (typed, changed) = change(&flag);
        let same = typed.check(&Plan::new(vec![changed.clone()]), folder);
        assert!(same.is_ok(), "{flag}: {}", same.unwrap_err());
        let other = typed.check(&Plan::new(vec![plain.clone()]), folder);
        if matches!(flag.resume, Resume::Honour) {
            assert!(other.is_ok(), "{flag}: {}", other.unwrap_err());
            let mut run = plain;
            typed.honour(&mut run).unwrap();
            assert_eq!(run, changed, "{flag}");
        } else {
            let said = other.unwrap_err().to_string();
            assert!(said.contains(&flag.to_string()), "{flag}: {said}");
            assert!(
                said.contains(" the settings of the run in run; leave "),
                "{said}"
            );
        }
    }
}

#[test]
fn specific_flags_override_the_settings_of_augment() {
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(ToOwned::to_owned).collect();
        train(&arguments).map(|typed| typed.runs().unwrap().swap_remove(0))
    };
    let typed = run("--rand-augment 3,5 --mixup 0.2 --random-erasing 0 --augment strong").unwrap();
    let strong = run("--augment strong").unwrap();
    let mut wanted = strong.recipe.augment.clone();
    wanted.mixup = 0.2;
    wanted.erasing = 0.0;
    let operations = wanted.rand_augment.as_mut().unwrap();
    (operations.operations, operations.magnitude) = (3, 5);
    assert_eq!(typed.recipe.augment, wanted);
    assert!(run("--rand-augment 2").is_none() && run("--rand-augment 2,x").is_none());
}
