//! `data check`: shows what a data set contains and which problems it has.

use anyhow::{Result, bail};
use finetune::config::DataConfig;
use finetune_data::check::{Check, Fate, Link, Survey, Why, check, survey};
use finetune_data::sources::{Understood, typed};
use finetune_files::{and_more, listed, quoted};
use serde::Serialize;

use crate::flags::{CheckArgs, DataArgs, DataCommand};
use crate::terminal::output::{say, say_json};

/// How many names of a list are shown.
const SHOWN: usize = 4;

/// How many classes, broken images and groups of duplicates are shown.
const LISTED: usize = 50;

/// `finetune data`.
///
/// # Errors
///
/// The data set is not valid, or has problems that would make results wrong.
pub fn data(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Check(args) => check_data(args),
    }
}

fn check_data(args: &CheckArgs) -> Result<()> {
    let path = typed(&args.data);
    let config = DataConfig {
        valid_fraction: Some(0.0),
        ..DataConfig::new(path.clone(), 1)
    };
    // A data set that is given by name has no folder to look through.
    let survey = if config.is_named() {
        None
    } else {
        survey(&path)?
    };
    let splits = config.open(0);
    // If the data set is rejected, what is known about it is shown before the error.
    let found = splits.as_ref().ok().map(check);
    if args.printed.json {
        say_json(&Document {
            check: found.as_ref(),
            survey: survey.as_ref(),
        })?;
    } else {
        let lines = lines(found.as_ref(), survey.as_ref());
        if !lines.is_empty() {
            say(&lines.join("\n"))?;
        }
    }
    let splits = splits?;
    if found.is_some_and(|found| found.has_errors()) || survey.is_some_and(|s| s.has_errors()) {
        bail!("results on {} would be wrong", splits.name);
    }
    Ok(())
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    check: Option<&'a Check>,
    #[serde(flatten)]
    survey: Option<&'a Survey>,
}

/// The lines to show, suggestions last.
fn lines(found: Option<&Check>, survey: Option<&Survey>) -> Vec<String> {
    let mut lines = found
        .map(|found| understood(&found.understood))
        .unwrap_or_default();
    lines.extend(found.map(images).unwrap_or_default());
    lines.extend(survey.map(others).unwrap_or_default());
    let mut suggestions = found.map(Check::suggestions).unwrap_or_default();
    suggestions.extend(survey.map(Survey::suggestions).unwrap_or_default());
    if suggestions.is_empty() && found.is_some() {
        lines.push("no problems found".to_owned());
    }
    let suggestions = suggestions.into_iter();
    lines.extend(suggestions.map(|suggestion| format!("→ {suggestion}")));
    lines
}

/// What the folder contains apart from images.
fn others(found: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    for (fate, becomes) in [
        (Fate::Leaves, "leaves the folder, rejected"),
        (Fate::Broken, "target does not exist, rejected"),
        (Fate::Loops, "points to a folder above it, left out"),
        (Fate::Followed, "followed"),
    ] {
        let of_fate = found.links.iter().filter(|link| link.fate == fate);
        let of_fate: Vec<_> = of_fate.collect();
        let (first, more) = first(&of_fate);
        for Link { link, target, .. } in first {
            lines.push(format!(
                "link: {} → {} ({becomes})",
                quoted(link),
                quoted(target)
            ));
        }
        if let Some(more) = more {
            lines.push(format!("link:{more} ({becomes})"));
        }
    }
    let mut reasons: Vec<Why> = found.ignored.iter().map(|file| file.why).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for why in reasons {
        let files = found.ignored.iter().filter(|file| file.why == why);
        let files: Vec<_> = files.map(|file| file.path.as_str()).collect();
        lines.push(format!("ignored, {}: {}", why.reason(), names(&files)));
    }
    if !found.not_utf8.is_empty() {
        let not_utf8: Vec<_> = found.not_utf8.iter().map(String::as_str).collect();
        lines.push(format!("not UTF-8: {}", names(&not_utf8)));
    }
    lines
}

/// The first classes and their numbers of images.
fn classes_of(classes: &[String]) -> String {
    listed(classes, LISTED, String::clone)
}

/// The first items of a list, and how many more there are.
fn first<T>(all: &[T]) -> (&[T], Option<String>) {
    first_of(all, SHOWN)
}

fn first_of<T>(all: &[T], shown: usize) -> (&[T], Option<String>) {
    let first = &all[..all.len().min(shown)];
    let more = and_more(all.len() - first.len());
    (first, (!more.is_empty()).then_some(more))
}

fn names(names: &[&str]) -> String {
    listed(names, SHOWN, |name| quoted(name))
}

/// How the data set was understood.
fn understood(understood: &Understood) -> Vec<String> {
    let mut lines = vec![format!("read as: {}", understood.layout)];
    let decided = understood.made.iter().chain(&understood.notes);
    lines.extend(decided.map(|sentence| format!("note: {sentence}")));
    lines
}

/// The images and their problems.
fn images(found: &Check) -> Vec<String> {
    let mut lines = Vec::new();
    for part in &found.parts {
        let classes: Vec<_> = part
            .classes
            .iter()
            .map(|(class, count)| format!("{} {count}", quoted(class)))
            .collect();
        let all: usize = part.classes.values().sum();
        lines.push(format!(
            "{:<6} {all:>7} images: {}",
            part.name,
            classes_of(&classes)
        ));
    }
    if let Some([smallest, median, largest]) = found.shorter_sides {
        lines.push(format!(
            "shorter sides from {smallest} to {largest} pixels, median {median}"
        ));
    }
    let formats = found.formats.iter();
    let formats: Vec<_> = formats
        .map(|(format, count)| format!("{format} {count}"))
        .collect();
    if !formats.is_empty() {
        lines.push(format!("formats: {}", formats.join(", ")));
    }
    for image in found.wrong_endings.iter().take(SHOWN) {
        lines.push(format!(
            "wrong file extension: {}: {}",
            quoted(&image.image),
            image.reason
        ));
    }
    let (broken, more) = first_of(&found.broken, LISTED);
    lines.extend(
        broken
            .iter()
            .map(|image| format!("broken: {}", image.reason)),
    );
    lines.extend(more.map(|more| format!("broken:{more}; --json lists all")));
    let (groups, more_groups) = first_of(&found.duplicates, LISTED);
    for group in groups {
        let kind = if group.exact {
            "identical"
        } else {
            "nearly identical"
        };
        let leak = if group.leak { ", in several parts" } else { "" };
        let labels = if group.labels_differ {
            ", with several labels"
        } else {
            ""
        };
        let images: Vec<&str> = group.images.iter().map(String::as_str).collect();
        lines.push(format!("{kind}{leak}{labels}: {}", names(&images)));
    }
    lines.extend(more_groups.map(|more| format!("duplicates:{more} group(s); --json lists all")));
    lines
}
