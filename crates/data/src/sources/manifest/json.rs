//! JSON Lines.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use finetune_files::quoted;
use serde_json::Value;

use super::super::groups::interned;
use super::bounded::Bounded;
use super::columns::{Column, Columns};
use super::row::{Row, error};
use crate::error::DataError;

/// The rows of a manifest. The keys of the first line are the columns.
pub(super) fn rows(manifest: &Path) -> Result<(Vec<Row>, Columns), DataError> {
    let (file, row) = Bounded::open(manifest)?;
    let mut file = BufReader::new(file);
    let mut columns: Option<Columns> = None;
    let mut texts: HashSet<Arc<str>> = HashSet::new();
    let mut rows = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        let bad = |reason: String| error(manifest, Some(line), reason);
        row.next();
        bytes.clear();
        let read = file.read_until(b'\n', &mut bytes);
        if read.map_err(|failure| bad(failure.to_string()))? == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|failure| bad(failure.to_string()))?;
        let Value::Object(object) = value else {
            return Err(bad(
                "it is no object: {\"path\": …, \"label\": …}".to_owned()
            ));
        };
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
        let get = |column: &Column| match object.get(&column.name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Bool(flag)) => Some(flag.to_string()),
            _ => None,
        };
        let wanted = |column: &Column| {
            let text = get(column).filter(|text| !text.is_empty());
            text.ok_or_else(|| {
                let name = quoted(&column.name);
                bad(format!("it has no {name} that is text or a number"))
            })
        };
        let part = match &columns.part {
            Some(part) => part.read(|column| Ok(get(column))).map_err(bad)?,
            None => None,
        };
        let group = columns.group.as_ref().and_then(get);
        let group = group.filter(|text| !text.is_empty());
        rows.push(Row {
            line,
            path: wanted(&columns.path)?,
            label: wanted(&columns.label)?,
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
