//! `data check`: what is in a data set, and what is wrong with it.

use anyhow::{Result, bail};
use finetune_data::{Check, check};

use crate::cli::{CheckArgs, DataArgs, DataCommand};
use crate::config::DataConfig;
use crate::output::say;

/// `finetune data`.
///
/// # Errors
///
/// A folder that is not as it should be, or one on which results would be wrong.
pub fn data(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Check(args) => check_data(args),
    }
}

fn check_data(args: &CheckArgs) -> Result<()> {
    let splits = DataConfig::new(args.data.clone(), 1).open(0)?;
    let found = check(&splits);
    if args.json {
        say(&serde_json::to_string_pretty(&found)?)?;
    } else {
        say(&lines(&found).join("\n"))?;
    }
    if found.has_errors() {
        bail!("results on {} would be wrong", splits.name);
    }
    Ok(())
}

fn lines(found: &Check) -> Vec<String> {
    // A group of a thousand pictures is named by its first ones.
    const SHOWN: usize = 4;
    let mut lines = Vec::new();
    for part in &found.parts {
        let classes: Vec<_> = part
            .classes
            .iter()
            .map(|(class, count)| format!("{class} {count}"))
            .collect();
        let all: usize = part.classes.values().sum();
        lines.push(format!(
            "{:<6} {all:>7} images: {}",
            part.name,
            classes.join(", ")
        ));
    }
    if let Some([smallest, median, largest]) = found.shorter_sides {
        lines.push(format!(
            "shorter sides from {smallest} to {largest} pixels, {median} in the middle"
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
        lines.push(format!("wrong ending: {}: {}", image.image, image.reason));
    }
    for image in &found.broken {
        lines.push(format!("broken: {}", image.reason));
    }
    for group in &found.duplicates {
        let kind = if group.exact {
            "the same"
        } else {
            "nearly the same"
        };
        let leak = if group.leak { ", in several parts" } else { "" };
        let labels = if group.labels_differ {
            ", with several labels"
        } else {
            ""
        };
        let shown = &group.images[..group.images.len().min(SHOWN)];
        let more = group.images.len() - shown.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        lines.push(format!("{kind}{leak}{labels}: {}{more}", shown.join(", ")));
    }
    let suggestions = found.suggestions();
    if suggestions.is_empty() {
        lines.push("nothing is wrong with it".to_owned());
    }
    for suggestion in suggestions {
        lines.push(format!("→ {suggestion}"));
    }
    lines
}
