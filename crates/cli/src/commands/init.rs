//! `init`: a file of settings for an image folder, with reasons.

use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use finetune::config::{DataConfig, Suggested, Suggestion};
use finetune::evaluation::write_atomically;
use finetune_data::check::shorter_sides;
use finetune_data::sources::typed;
use finetune_data::{ImageSet, Splits};
use finetune_files::{listed, quoted, quoted_path, visible};

use crate::flags::InitArgs;
use crate::terminal::exit::Usage;
use crate::terminal::output::say;

/// Images that are decoded to find out how large they are.
const SIZED: usize = 64;

/// Classes that are listed.
const CLASSES: usize = 20;

/// Columns of the file's comments.
const WIDTH: usize = 96;

/// `finetune init`.
///
/// # Errors
///
/// The file exists, there is no folder of images, or the file cannot be written.
pub fn init(args: &InitArgs) -> Result<()> {
    if args.out.symlink_metadata().is_ok() {
        bail!(Usage(format!(
            "{} exists already; remove it, or name another file with --out",
            quoted_path(&args.out)
        )));
    }
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => only_data_set()?,
    };
    let Some(shown) = folder.to_str() else {
        let folder = quoted_path(&folder);
        bail!(Usage(format!(
            "the path {folder} is not UTF-8; rename the folder"
        )));
    };
    if around_here(&folder) {
        bail!(Usage(format!(
            "{} contains the current folder, where the runs would be taken for images; call this from the \
             folder above",
            quoted_path(&folder)
        )));
    }
    let splits = DataConfig::new(typed(&folder), 1).open(0)?;
    let sides = shorter_sides(&splits.train, SIZED);
    let suggestion = Suggestion::of(&splits, sides.map(|sides| sides[1]));
    let text = file(shown, &args.out, &splits, sides, &suggestion);
    write_atomically(&args.out, text.as_bytes())?;
    let out = args.out.display();
    say(&format!(
        "{out}: {} classes, {} training images; {} at {} pixels, {} epochs\n\
         next: finetune compare --config {out}",
        splits.classes().len(),
        splits.train.len(),
        suggestion.model.value,
        suggestion.image_size.value,
        suggestion.epochs.value,
    ))
}

/// The only data set among the folders here.
fn only_data_set() -> Result<PathBuf> {
    let entries = std::fs::read_dir(".")?.flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut found: Vec<PathBuf> = folders
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|folder| DataConfig::new(typed(folder), 1).open(0).is_ok())
        .collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!(Usage(
            "no folder here is a folder of images; name one: finetune init FOLDER".to_owned()
        )),
        several => bail!(Usage(format!(
            "several folders here have images; name one of {}: finetune init FOLDER",
            listed(several, 5, |folder| quoted_path(folder))
        ))),
    }
}

/// Whether the current folder is the folder or within it.
fn around_here(folder: &Path) -> bool {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let (Ok(here), Ok(folder)) = (here, folder.canonicalize()) else {
        return false;
    };
    here.starts_with(folder)
}

/// The text of the file.
fn file(
    folder: &str,
    out: &Path,
    splits: &Splits,
    sides: Option<[usize; 3]>,
    suggestion: &Suggestion,
) -> String {
    let mut text = String::new();
    let out = visible(&out.display().to_string()).into_owned();
    comment(
        &mut text,
        &format!(
            "Settings for {}, suggested by `finetune init`.",
            quoted(folder)
        ),
    );
    for line in [
        format!("  finetune compare --config {out}   several methods, and which one to take"),
        format!("  finetune train --config {out}     one method"),
    ] {
        let _ = writeln!(text, "# {line}");
    }
    comment(
        &mut text,
        "Flags that are typed as well override the file; `finetune train --help` explains all of them. \
         Paths begin at the folder in which finetune is called.",
    );
    text.push('\n');
    for sentence in about(splits, sides) {
        comment(&mut text, &sentence);
    }
    setting(&mut text, "data", &toml::Value::from(folder));
    suggested(&mut text, "model", &suggestion.model, |name| {
        toml::Value::from(*name)
    });
    suggested(&mut text, "image_size", &suggestion.image_size, number);
    suggested(&mut text, "batch_size", &suggestion.batch_size, number);
    suggested(&mut text, "epochs", &suggestion.epochs, number);
    if let Some(why) = &suggestion.balance {
        text.push('\n');
        comment(&mut text, why);
        setting(&mut text, "class_weights", &toml::Value::from("balanced"));
    }
    text.push('\n');
    comment(
        &mut text,
        "What follows is only for one of the two commands, or usual as it is. Remove the `#` to set it.",
    );
    text.push('\n');
    let method = &suggestion.method;
    comment(&mut text, &format!("The method of `train`. {}", method.why));
    let _ = writeln!(text, "# method = \"{}\"", method.value);
    for (about, line) in [
        (
            "The methods of `compare`; `finetune inspect` lists all.",
            "methods = [\"sft\", \"lora\", \"linear\"]",
        ),
        (
            "How often `compare` trains each method, to tell differences from chance.",
            "seeds = 3",
        ),
        (
            "The peak learning rate; without it, each method has its own (docs/defaults.md).",
            "lr = 0.001",
        ),
        (
            "Random changes of the training images: none, light, full, …",
            "augment = \"light\"",
        ),
        (
            "Photographs of one animal, patient or burst stay together.",
            "group_by = '^([a-z]+[0-9]+)_'",
        ),
    ] {
        comment(&mut text, about);
        let _ = writeln!(text, "# {line}");
    }
    text
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as `suggested` gives it
fn number(value: &usize) -> toml::Value {
    toml::Value::from(i64::try_from(*value).unwrap_or(i64::MAX))
}

fn suggested<T: Display>(
    text: &mut String,
    key: &str,
    suggested: &Suggested<T>,
    value: impl Fn(&T) -> toml::Value,
) {
    text.push('\n');
    comment(text, &suggested.why);
    setting(text, key, &value(&suggested.value));
}

fn setting(text: &mut String, key: &str, value: &toml::Value) {
    let _ = writeln!(text, "{key} = {value}");
}

/// What was found in the folder, in sentences.
fn about(splits: &Splits, sides: Option<[usize; 3]>) -> Vec<String> {
    let understood = splits.understood();
    let counts = splits.train.per_class();
    let classes: Vec<_> = splits.classes().iter().zip(counts).collect();
    let shown = listed(&classes, CLASSES, |(class, count)| {
        format!("{} {count}", quoted(class))
    });
    let valid = splits.valid.as_ref().map_or(0, ImageSet::len);
    let mut sentences = vec![
        format!("Read as: {}.", understood.layout),
        format!(
            "{} classes with so many training images: {shown}. {} images for training, {valid} for \
             validation, {} for testing.",
            classes.len(),
            splits.train.len(),
            splits.test.len()
        ),
    ];
    sentences.extend(understood.sentences());
    if let Some([smallest, median, largest]) = sides {
        sentences.push(format!(
            "Shorter sides are from {smallest} to {largest} pixels, {median} in the median (of up to {SIZED} \
             images)."
        ));
    }
    sentences
}

/// Adds a comment, in lines of at most [`WIDTH`] columns.
fn comment(text: &mut String, sentence: &str) {
    let mut line = String::from("#");
    for word in visible(sentence).split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_comments() {
        let mut text = String::new();
        comment(&mut text, &format!("a\nlr = 5 {}", "word ".repeat(60)));
        assert!(text.lines().all(|line| line.starts_with('#')));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(text.matches("word").count(), 60);
    }
}
