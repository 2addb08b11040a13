//! JSON Lines.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use finetune_files::quoted;
use serde_json::{Map, Value};

use super::super::groups::interned;
use super::bounded::{self, Bounded};
use super::columns::{Column, Columns};
use super::row::{Row, error};
use crate::error::DataError;

/// The lines of a manifest.
pub(super) struct Lines {
    manifest: PathBuf,
    file: BufReader<Bounded>,
    row: bounded::Row,
    line: u64,
    bytes: Vec<u8>,
}

/// The number of a line, and the object in it.
type Numbered = (u64, Map<String, Value>);

impl Lines {
    pub(super) fn open(manifest: &Path) -> Result<Self, DataError> {
        let (file, row) = Bounded::open(manifest)?;
        Ok(Self {
            manifest: manifest.to_owned(),
            file: BufReader::new(file),
            row,
            line: 0,
            bytes: Vec::new(),
        })
    }

    /// The next line that is not empty, and its number; `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Numbered>, DataError> {
        loop {
            self.line += 1;
            let bad = |reason: String| error(&self.manifest, Some(self.line), reason);
            self.row.next();
            self.bytes.clear();
            let read = self.file.read_until(b'\n', &mut self.bytes);
            if read.map_err(|failure| bad(failure.to_string()))? == 0 {
                return Ok(None);
            }
            if self.bytes.trim_ascii().is_empty() {
                continue;
            }
            let value = serde_json::from_slice(&self.bytes);
            let Value::Object(object) = value.map_err(|failure| bad(failure.to_string()))? else {
                return Err(bad(
                    "it is no object: {\"path\": …, \"label\": …}".to_owned()
                ));
            };
            return Ok(Some((self.line, object)));
        }
    }
}

/// What a line says under the key of a column, if that is text, a number, or true or false.
fn get(object: &Map<String, Value>, column: &Column) -> Option<String> {
    match object.get(&column.name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(flag)) => Some(flag.to_string()),
        _ => None,
    }
}

/// As [`get`], which must not be empty.
pub(super) fn wanted(object: &Map<String, Value>, column: &Column) -> Result<String, String> {
    let text = get(object, column).filter(|text| !text.is_empty());
    text.ok_or_else(|| {
        let name = quoted(&column.name);
        format!("it has no {name} that is text or a number")
    })
}

/// The column of paths among the keys of a line.
pub(super) fn path_column(object: &Map<String, Value>) -> Result<Column, String> {
    let keys: Vec<String> = object.keys().cloned().collect();
    Column::path(&keys).map_err(|reason| of_keys(&reason))
}

/// The rows of a manifest. The keys of the first line are the columns.
pub(super) fn rows(manifest: &Path) -> Result<(Vec<Row>, Columns), DataError> {
    let mut lines = Lines::open(manifest)?;
    let mut columns: Option<Columns> = None;
    let mut texts: HashSet<Arc<str>> = HashSet::new();
    let mut rows = Vec::new();
    while let Some((line, object)) = lines.next()? {
        let bad = |reason: String| error(manifest, Some(line), reason);
        let find = || {
            let keys: Vec<String> = object.keys().cloned().collect();
            Columns::find(&keys).map_err(|reason| bad(of_keys(&reason)))
        };
        let columns = match &mut columns {
            Some(columns) => columns,
            None => columns.insert(find()?),
        };
        // Lines may have names of their own for the same things.
        let own;
        let has = |column: &Column| object.contains_key(&column.name);
        let columns = if has(&columns.path) && has(&columns.label) {
            &*columns
        } else {
            own = find()?;
            &own
        };
        let part = match &columns.part {
            Some(part) => part.read(|column| Ok(get(&object, column))).map_err(bad)?,
            None => None,
        };
        let group = columns.group.as_ref();
        let group = group.and_then(|column| get(&object, column));
        let group = group.filter(|text| !text.is_empty());
        rows.push(Row {
            line,
            path: wanted(&object, &columns.path).map_err(bad)?,
            label: wanted(&object, &columns.label).map_err(bad)?,
            part: part.map(|text| interned(&mut texts, &text)),
            group: group.map(|text| interned(&mut texts, &text)),
        });
    }
    let columns = columns.ok_or_else(|| DataError::NoTraining(manifest.to_owned()))?;
    Ok((rows, columns))
}

/// The error of columns in words for keys.
fn of_keys(reason: &str) -> String {
    reason
        .replace("it has no column", "it has no key")
        .replace("its columns are", "its keys are")
}
