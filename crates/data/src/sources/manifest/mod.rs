//! Manifests: CSV and JSON Lines files that name images and their classes.

mod bounded;
mod columns;
mod json;
mod paths;
mod row;
mod table;

use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::Arc;

use finetune_files::{quoted, quoted_path};

use self::columns::Columns;
pub use self::paths::ManifestPaths;
use self::row::{Row, error};
use super::format::Format;
use super::origin::Origin;
use super::parts::{Part, Parts, Place};
use super::source::Source;
use crate::error::DataError;

pub(super) const FORMAT: Format = Format {
    description: ".csv, .tsv, .jsonl or .ndjson manifest",
    extensions: &["csv", "tsv", "jsonl", "ndjson"],
    is_directory: |_| Ok(false),
    open: |path, options| read(path)?.splits(path, options),
    open_test: |path| read(path)?.into_test(path),
};

/// Reads a manifest. Paths are relative to its folder.
fn read(manifest: &Path) -> Result<Parts, DataError> {
    let (rows, mut columns) = if is_json(manifest) {
        json::rows(manifest)?
    } else {
        table::rows(manifest)?
    };
    let uses_part = uses_part(manifest, &rows, &mut columns)?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let file: Arc<Path> = manifest.into();
    let mut missing: Option<(u64, PathBuf)> = None;
    let mut missing_count = 0;
    let mut parts = Parts::default();
    parts.origin = Origin {
        notes: std::mem::take(&mut columns.notes),
        ..Origin::new(columns.describe(uses_part), folder)
    };
    for row in rows {
        let path = match existing(folder, &row.path) {
            Ok(path) => path,
            Err(path) => {
                missing_count += 1;
                missing.get_or_insert((row.line, path));
                continue;
            }
        };
        let text = row.part.as_deref().filter(|_| uses_part);
        let part = text.map_or(Some(Part::Unknown), Part::named);
        let part = part.unwrap_or(Part::Unknown);
        let place = Place {
            file: Arc::clone(&file),
            unit: "line",
            number: row.line,
        };
        parts.add(part, (Source::File(path), row.group), &row.label, place);
        let name = || quoted(text.unwrap_or_default());
        let from = parts.from.entry(part);
        from.or_insert_with(|| vec![format!("lines of {}", name())]);
    }
    match missing {
        None => Ok(parts),
        Some((line, path)) => {
            let path = quoted_path(&path);
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

/// Whether a file is a manifest, by its name.
#[must_use]
pub fn is_manifest(path: &Path) -> bool {
    has_extension(path, FORMAT.extensions)
}

fn is_json(manifest: &Path) -> bool {
    has_extension(manifest, &["jsonl", "ndjson"])
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let own = path.extension();
    own.is_some_and(|own| extensions.iter().any(|one| own.eq_ignore_ascii_case(one)))
}

/// The file that a manifest names, or the path that does not exist.
fn existing(folder: &Path, name: &str) -> Result<PathBuf, PathBuf> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(path);
    }
    // `cat\1.png` is what Windows calls `cat/1.png`.
    if MAIN_SEPARATOR == '/' && name.contains('\\') {
        let unix = folder.join(name.replace('\\', "/"));
        if unix.exists() {
            return Ok(unix);
        }
    }
    Err(path)
}

/// Whether the column of the parts says which part each image belongs to. A column that is called `set`
/// or `fold` may say something else.
fn uses_part(manifest: &Path, rows: &[Row], columns: &mut Columns) -> Result<bool, DataError> {
    let Some(column) = &columns.part else {
        return Ok(false);
    };
    let is_part = |row: &Row| {
        row.part
            .as_deref()
            .is_some_and(|text| Part::named(text).is_some())
    };
    let Some(other) = rows.iter().find(|row| !is_part(row)) else {
        return Ok(true);
    };
    let title = column.title();
    if !column.is_sure() && !rows.iter().any(is_part) {
        columns.notes.push(format!(
            "the column {title} is not used, because none of its values is the name of a part (train, \
             valid, test)"
        ));
        return Ok(false);
    }
    let reason = match other.part.as_deref() {
        Some(text) => {
            format!(
                "the {} is {}, but must be train, valid or test",
                column.word(),
                quoted(text)
            )
        }
        None => format!("some lines have a {title} and others have none"),
    };
    let without = rows.first().is_some_and(|first| first.part.is_none());
    let line = if without && other.part.is_none() {
        // The first line has none, so the first one that has some is the other kind.
        rows.iter().find(|row| row.part.is_some())
    } else {
        Some(other)
    };
    Err(error(manifest, line.map(|row| row.line), reason))
}
