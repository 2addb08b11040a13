//! Only one file lists the learning-rate schedules: `src/recipe/schedule.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use finetune_training::Schedule;

/// Returns the source files of all crates, without their integration tests.
fn sources() -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut open: Vec<PathBuf> = std::fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"))
        .filter(|src| src.is_dir())
        .collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the text of a file without the unit tests at its end.
fn without_tests(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let (code, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((&text, ""));
    code.to_owned()
}

/// Returns the schedules that a file names, as a variant or by name.
fn named(text: &str) -> Vec<Schedule> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let variants: Vec<&str> = text.split(|c| !is_word(c)).collect();
    let is_named = |schedule: &Schedule| {
        let variant = format!("{schedule:?}");
        let is_variant = match schedule {
            // The word also has other meanings.
            Schedule::Step => text.contains("Schedule::Step"),
            _ => variants.contains(&variant.as_str()),
        };
        is_variant || text.contains(&format!("\"{}\"", schedule.name()))
    };
    Schedule::ALL.into_iter().filter(is_named).collect()
}

/// A file may use one schedule, e.g. as a default. A file that names two would be a second list, to
/// which a new schedule would have to be added.
#[test]
fn no_other_file_lists_the_schedules() {
    let sources = sources();
    let (own, others): (Vec<_>, Vec<_>) = sources
        .into_iter()
        .partition(|path| path.ends_with("training/src/recipe/schedule.rs"));
    assert_eq!(named(&without_tests(&own[0])), Schedule::ALL);
    assert!(others.len() > 100);
    for path in others {
        let text = without_tests(&path);
        let named = named(&text);
        assert!(named.len() < 2, "{}: {named:?}", path.display());
        assert!(!text.contains("one-cycle"), "{}", path.display());
    }
}
