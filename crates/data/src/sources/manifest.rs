//! Manifests: CSV and JSON Lines files that name images and their classes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::format::Format;
use super::parts::{Labelled, Part, Parts};
use super::source::Source;
use crate::error::DataError;

const CSV: &str = "csv";

pub(super) const FORMAT: Format = Format {
    description: ".csv, .jsonl or .ndjson manifest",
    extensions: &[CSV, "jsonl", "ndjson"],
    is_directory: |_| Ok(false),
    open: |path, options| read(path)?.splits(path, options),
    open_test: |path| read(path)?.into_test(path),
};

/// Names of the column of paths; the second one is Hugging Face's.
const PATHS: [&str; 2] = ["path", "file_name"];

/// One line of a manifest.
struct Row {
    line: u64,
    path: String,
    label: String,
    part: Option<String>,
}

/// Reads a manifest. Its columns or keys are `path`, `label` and perhaps `split` (`train`, `valid` or
/// `test`); paths are relative to the folder of the manifest.
fn read(manifest: &Path) -> Result<Parts, DataError> {
    let is_csv = manifest
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(CSV));
    let rows = if is_csv {
        csv(manifest)?
    } else {
        json(manifest)?
    };
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut missing: Option<(u64, PathBuf)> = None;
    let mut missing_count = 0;
    let mut parts = Parts::default();
    for row in rows {
        let bad = |reason: String| error(manifest, Some(row.line), reason);
        let path = folder.join(&row.path);
        if !path.is_file() {
            missing_count += 1;
            missing.get_or_insert((row.line, path.clone()));
        }
        let part = match row.part.as_deref() {
            None => Part::Unknown,
            Some(name) => Part::named(name).ok_or_else(|| {
                bad(format!(
                    "the split is `{name}`, but must be train, valid or test"
                ))
            })?,
        };
        parts.add(
            part,
            Labelled {
                source: Source::File(path),
                label: row.label,
                place: format!("{}, line {}", manifest.display(), row.line),
            },
        );
    }
    match missing {
        None => Ok(parts),
        Some((line, path)) => {
            let path = path.display();
            let reason = match missing_count - 1 {
                0 => format!("{path} does not exist; correct the paths"),
                more => format!(
                    "{path} and {more} other file(s) that it names do not exist; correct the paths"
                ),
            };
            Err(error(manifest, Some(line), reason))
        }
    }
}

fn csv(manifest: &Path) -> Result<Vec<Row>, DataError> {
    let file = open(manifest)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(file);
    let failed = |failure: csv::Error| {
        let line = failure.position().map(csv::Position::line);
        error(manifest, line, failure.to_string())
    };
    let headers = reader.headers().map_err(failed)?.clone();
    let column = |names: &[&str]| {
        headers
            .iter()
            .position(|header| names.iter().any(|name| header.eq_ignore_ascii_case(name)))
    };
    let wanted = |names: &[&str]| {
        column(names).ok_or_else(|| {
            let columns: Vec<&str> = headers.iter().collect();
            let reason = format!(
                "it has no column `{}`; its columns are: {}",
                names[0],
                columns.join(", ")
            );
            error(manifest, None, reason)
        })
    };
    let (path, label, part) = (wanted(&PATHS)?, wanted(&["label"])?, column(&["split"]));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: usize, name: &str| match record.get(column) {
            Some(cell) if !cell.is_empty() => Ok(cell.to_owned()),
            _ => Err(error(manifest, Some(line), format!("its {name} is empty"))),
        };
        rows.push(Row {
            line,
            path: cell(path, "path")?,
            label: cell(label, "label")?,
            part: part.map(|part| cell(part, "split")).transpose()?,
        });
    }
    Ok(rows)
}

fn json(manifest: &Path) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(BufReader::new(open(manifest)?).lines()) {
        let bad = |reason: String| error(manifest, Some(line), reason);
        let text = text.map_err(|failure| bad(failure.to_string()))?;
        if text.trim().is_empty() {
            continue;
        }
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|failure| bad(failure.to_string()))?;
        let get = |names: &[&str]| {
            let value = names.iter().find_map(|name| value.get(name))?;
            match value {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Number(number) => Some(number.to_string()),
                serde_json::Value::Bool(flag) => Some(flag.to_string()),
                _ => None,
            }
        };
        let wanted = |names: &[&str]| {
            get(names)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| bad(format!("it has no `{}` that is text or a number", names[0])))
        };
        rows.push(Row {
            line,
            path: wanted(&PATHS)?,
            label: wanted(&["label"])?,
            part: get(&["split"]),
        });
    }
    // Either all lines have a split or none has.
    if let Some(row) = rows
        .iter()
        .find(|row| row.part.is_some() != rows[0].part.is_some())
    {
        let reason = "some lines have a `split` and others have none".to_owned();
        return Err(error(manifest, Some(row.line), reason));
    }
    Ok(rows)
}

fn open(manifest: &Path) -> Result<File, DataError> {
    File::open(manifest).map_err(|source| DataError::Io {
        path: manifest.to_owned(),
        source,
    })
}

fn error(manifest: &Path, line: Option<u64>, reason: String) -> DataError {
    DataError::Manifest {
        place: match line {
            Some(line) => format!("{}, line {line}", manifest.display()),
            None => manifest.display().to_string(),
        },
        reason,
    }
}
