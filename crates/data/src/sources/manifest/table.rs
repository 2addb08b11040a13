//! CSV, with commas, semicolons, tabs or bars between the cells.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use finetune_files::quoted;

use super::super::groups::interned;
use super::bounded::Bounded;
use super::columns::{Column, Columns};
use super::row::{Row, error};
use crate::error::DataError;

/// Separators, the most common one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The rows of a manifest.
pub(super) fn rows(manifest: &Path) -> Result<(Vec<Row>, Columns), DataError> {
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
    let separator = separator(&first);
    row.next();
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .trim(Trim::All)
        .flexible(true)
        .from_reader(Cursor::new(first).chain(file));
    let failed = |failure: csv::Error| {
        let line = failure.position().map(|position| position.line() + skipped);
        let reason = match failure.into_kind() {
            csv::ErrorKind::Io(failure) => failure.to_string(),
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text; save it as UTF-8".to_owned(),
            other => format!("{other:?}"),
        };
        error(manifest, line, reason)
    };
    let headers: Vec<String> = reader
        .headers()
        .map_err(failed)?
        .iter()
        .map(str::to_owned)
        .collect();
    let columns = Columns::find(&headers).map_err(|reason| error(manifest, None, reason))?;
    let mut rows = Vec::new();
    let mut texts = HashSet::new();
    let mut record = StringRecord::new();
    loop {
        row.next();
        let before = reader.position().line() + skipped;
        let more = next(&mut reader, &mut record).map_err(|failure| {
            // Failures of reading have no position of their own.
            let position = failure.position().is_some();
            let failure = failed(failure);
            match failure {
                DataError::Manifest { reason, .. } if !position => {
                    error(manifest, Some(before), reason)
                }
                other => other,
            }
        })?;
        if !more {
            return Ok((rows, columns));
        }
        if record.iter().all(str::is_empty) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line) + skipped;
        let bad = |reason: String| error(manifest, Some(line), reason);
        if record.len() != headers.len() {
            return Err(bad(format!(
                "it has {} cell(s), but the first line has {}",
                record.len(),
                headers.len()
            )));
        }
        let cell = |column: &Column, word: &str| match record.get(column.index) {
            Some(cell) if !cell.is_empty() => Ok(cell.to_owned()),
            _ => Err(format!("its {word} is empty")),
        };
        let part = match &columns.part {
            Some(part) => part
                .read(|column| cell(column, &quoted(&column.name)).map(Some))
                .map_err(bad)?,
            None => None,
        };
        let group = columns.group.as_ref();
        let group = group.and_then(|column| record.get(column.index));
        let group = group.filter(|text| !text.is_empty());
        rows.push(Row {
            line,
            path: cell(&columns.path, "path").map_err(bad)?,
            label: cell(&columns.label, "label").map_err(bad)?,
            part: part.map(|text| interned(&mut texts, &text)),
            group: group.map(|text| interned(&mut texts, text)),
        });
    }
}

fn next<R: Read>(reader: &mut Reader<R>, record: &mut StringRecord) -> Result<bool, csv::Error> {
    reader.read_record(record)
}

/// The separator that gives a line columns of paths and labels; a comma if none does.
fn separator(line: &[u8]) -> u8 {
    let gives_columns = |separator: &u8| {
        let mut reader = ReaderBuilder::new()
            .delimiter(*separator)
            .trim(Trim::All)
            .from_reader(line);
        reader.headers().is_ok_and(|names| {
            let names: Vec<String> = names.iter().map(str::to_owned).collect();
            Columns::find(&names).is_ok()
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
        assert_eq!(separator(b"path,label\n"), b',');
        assert_eq!(separator(b"path;label;a,b\r\n"), b';');
        assert_eq!(separator(b"label\tfile_name"), b'\t');
        assert_eq!(separator(b"\"a,b\"|image|class"), b'|');
        assert_eq!(separator(b"a;b;c,d"), b';');
        assert_eq!(separator(b""), b',');
    }
}
