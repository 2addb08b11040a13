//! `data check`: what is in a data set, and what is wrong with it.

use anyhow::{Result, bail};
use finetune_data::{Check, check};

use crate::cli::{CheckArgs, DataArgs, DataCommand};
use crate::config::DataConfig;

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
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print(&found);
    }
    if found.has_errors() {
        bail!("results on {} would be wrong", splits.name);
    }
    Ok(())
}

fn print(found: &Check) {
    // A group of a thousand pictures is named by its first ones.
    const SHOWN: usize = 4;
    for part in &found.parts {
        let classes: Vec<_> = part
            .classes
            .iter()
            .map(|(class, count)| format!("{class} {count}"))
            .collect();
        let all: usize = part.classes.values().sum();
        println!("{:<6} {all:>7} images: {}", part.name, classes.join(", "));
    }
    if let Some([smallest, median, largest]) = found.shorter_sides {
        println!("shorter sides from {smallest} to {largest} pixels, {median} in the middle");
    }
    let formats = found.formats.iter();
    let formats: Vec<_> = formats
        .map(|(format, count)| format!("{format} {count}"))
        .collect();
    if !formats.is_empty() {
        println!("formats: {}", formats.join(", "));
    }
    for image in found.wrong_endings.iter().take(SHOWN) {
        println!("wrong ending: {}: {}", image.image, image.reason);
    }
    for image in &found.broken {
        println!("broken: {}", image.reason);
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
        println!("{kind}{leak}{labels}: {}{more}", shown.join(", "));
    }
    let suggestions = found.suggestions();
    if suggestions.is_empty() {
        println!("nothing is wrong with it");
    }
    for suggestion in suggestions {
        println!("→ {suggestion}");
    }
}
