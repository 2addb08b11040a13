//! CSV, with commas, semicolons, tabs or bars between the cells.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use finetune_files::quoted;

use super::super::groups::interned;
use super::bounded::{self, Bounded};
use super::columns::{Column, Columns};
use super::row::{Row, error};
use crate::error::DataError;

/// Separators, the most common one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A manifest of which the first line, with the names of the columns, has been read.
pub(super) struct Table {
    reader: Reader<Box<dyn Read + Send>>,
    row: bounded::Row,
    /// Lines before that of the names.
    skipped: u64,
    manifest: PathBuf,
    /// The names of the columns.
    pub(super) names: Vec<String>,
}

impl Table {
    /// Opens a manifest; `has_columns` says whether names of columns have those that are wanted, which
    /// decides about the separator.
    pub(super) fn open(
        manifest: &Path,
        has_columns: fn(&[String]) -> bool,
    ) -> Result<Self, DataError> {
        let (file, row) = Bounded::open(manifest)?;
        let mut file = BufReader::new(file);
        let failed = |line: u64, failure: std::io::Error| error(manifest, Some(line), failure);
        // The line of the names of the columns decides about the separator.
        let mut first = Vec::new();
        let mut skipped = 0;
        loop {
            row.next();
            first.clear();
            let read = file.read_until(b'\n', &mut first);
            let end = read.map_err(|failure| failed(skipped + 1, failure))? == 0;
            let text = first.trim_ascii();
            // Excel writes `sep=;` before everything else.
            if end || !(text.is_empty() || text.starts_with(b"sep=")) {
                break;
            }
            skipped += 1;
        }
        let separator = separator(&first, has_columns);
        row.next();
        let all: Box<dyn Read + Send> = Box::new(Cursor::new(first).chain(file));
        let reader = ReaderBuilder::new()
            .delimiter(separator)
            .trim(Trim::All)
            .flexible(true)
            .from_reader(all);
        let mut table = Self {
            reader,
            row,
            skipped,
            manifest: manifest.to_owned(),
            names: Vec::new(),
        };
        let names = table.reader.headers().cloned();
        let names = names.map_err(|failure| table.failed(failure))?;
        table.names = names.iter().map(str::to_owned).collect();
        Ok(table)
    }

    /// Reads the next row that is not empty into `record`. `None` after the last one, otherwise the number
    /// of its line.
    pub(super) fn next(&mut self, record: &mut StringRecord) -> Result<Option<u64>, DataError> {
        loop {
            self.row.next();
            let before = self.reader.position().line() + self.skipped;
            let more = self.reader.read_record(record).map_err(|failure| {
                // Failures of reading have no position of their own.
                let position = failure.position().is_some();
                match self.failed(failure) {
                    DataError::Manifest { reason, .. } if !position => {
                        error(&self.manifest, Some(before), reason)
                    }
                    other => other,
                }
            })?;
            if !more {
                return Ok(None);
            }
            if record.iter().any(|cell| !cell.is_empty()) {
                let line = record.position().map_or(0, csv::Position::line);
                return Ok(Some(line + self.skipped));
            }
        }
    }

    /// Says that a row has another number of cells than the first line.
    pub(super) fn check_cells(&self, record: &StringRecord) -> Result<(), String> {
        if record.len() == self.names.len() {
            return Ok(());
        }
        Err(format!(
            "it has {} cell(s), but the first line has {}",
            record.len(),
            self.names.len()
        ))
    }

    fn failed(&self, failure: csv::Error) -> DataError {
        let line = failure.position();
        let line = line.map(|position| position.line() + self.skipped);
        let reason = match failure.into_kind() {
            csv::ErrorKind::Io(failure) => failure.to_string(),
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text; save it as UTF-8".to_owned(),
            other => format!("{other:?}"),
        };
        error(&self.manifest, line, reason)
    }
}

/// A cell that must not be empty; `word` is what it is called.
pub(super) fn cell(record: &StringRecord, column: &Column, word: &str) -> Result<String, String> {
    match record.get(column.index) {
        Some(cell) if !cell.is_empty() => Ok(cell.to_owned()),
        _ => Err(format!("its {word} is empty")),
    }
}

/// The rows of a manifest.
pub(super) fn rows(manifest: &Path) -> Result<(Vec<Row>, Columns), DataError> {
    let mut table = Table::open(manifest, |names| Columns::find(names).is_ok())?;
    let columns = Columns::find(&table.names).map_err(|reason| error(manifest, None, reason))?;
    let mut rows = Vec::new();
    let mut texts = HashSet::new();
    let mut record = StringRecord::new();
    while let Some(line) = table.next(&mut record)? {
        let bad = |reason: String| error(manifest, Some(line), reason);
        table.check_cells(&record).map_err(bad)?;
        let part = match &columns.part {
            Some(part) => part
                .read(|column| cell(&record, column, &quoted(&column.name)).map(Some))
                .map_err(bad)?,
            None => None,
        };
        let group = columns.group.as_ref();
        let group = group.and_then(|column| record.get(column.index));
        let group = group.filter(|text| !text.is_empty());
        rows.push(Row {
            line,
            path: cell(&record, &columns.path, "path").map_err(bad)?,
            label: cell(&record, &columns.label, "label").map_err(bad)?,
            part: part.map(|text| interned(&mut texts, &text)),
            group: group.map(|text| interned(&mut texts, text)),
        });
    }
    Ok((rows, columns))
}

/// The separator that gives a line the columns that are wanted; a comma if none does.
fn separator(line: &[u8], has_columns: fn(&[String]) -> bool) -> u8 {
    let gives_columns = |separator: &u8| {
        let mut reader = ReaderBuilder::new()
            .delimiter(*separator)
            .trim(Trim::All)
            .from_reader(line);
        reader.headers().is_ok_and(|names| {
            let names: Vec<String> = names.iter().map(str::to_owned).collect();
            has_columns(&names)
        })
    };
    let found = SEPARATORS.into_iter().find(gives_columns);
    // Otherwise the one that occurs most often, so that the message lists columns.
    let count = |separator: u8| line.split(|byte| *byte == separator).count();
    found.unwrap_or_else(|| {
        let most = SEPARATORS.into_iter().rev().max_by_key(|byte| count(*byte));
        most.unwrap_or(b',')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_columns_decide_about_the_separator() {
        let separator = |line: &[u8]| separator(line, |names| Columns::find(names).is_ok());
        assert_eq!(separator(b"path,label\n"), b',');
        assert_eq!(separator(b"path;label;a,b\r\n"), b';');
        assert_eq!(separator(b"label\tfile_name"), b'\t');
        assert_eq!(separator(b"\"a,b\"|image|class"), b'|');
        assert_eq!(separator(b"a;b;c,d"), b';');
        assert_eq!(separator(b""), b',');
    }
}
