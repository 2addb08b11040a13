//! The paths of a manifest, one after the other: for images whose classes are not known or not of interest.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::columns::Column;
use super::json::{self, Lines};
use super::row::error;
use super::table::{Table, cell};
use super::{existing, is_json};
use crate::error::DataError;

/// The paths that a manifest names, in its order. No more of the file than a row is in memory.
///
/// A row that names none is an error; those after it follow, unless the file cannot be read any further.
pub struct ManifestPaths {
    manifest: PathBuf,
    folder: PathBuf,
    rows: Option<Rows>,
}

enum Rows {
    Table(Box<Table>, Column),
    Json(Lines),
}

impl std::fmt::Debug for ManifestPaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManifestPaths")
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

impl ManifestPaths {
    /// Opens a manifest, which needs a column of paths and no other. Relative paths begin in its folder.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has no column of paths.
    pub fn open(manifest: &Path) -> Result<Self, DataError> {
        let rows = if is_json(manifest) {
            Rows::Json(Lines::open(manifest)?)
        } else {
            let table = Table::open(manifest, |names| Column::path(names).is_ok())?;
            let column = Column::path(&table.names);
            let column = column.map_err(|reason| error(manifest, None, reason))?;
            Rows::Table(Box::new(table), column)
        };
        Ok(Self {
            manifest: manifest.to_owned(),
            folder: manifest.parent().unwrap_or(Path::new("")).to_owned(),
            rows: Some(rows),
        })
    }
}

/// The number of a line, and its path or why it has none.
type Numbered = (u64, Result<String, String>);

impl Rows {
    /// The next line; `None` after the last one.
    fn next(&mut self) -> Result<Option<Numbered>, DataError> {
        match self {
            Self::Table(table, column) => {
                let mut record = StringRecord::new();
                let line = table.next(&mut record)?;
                Ok(line.map(|line| {
                    let cells = table.check_cells(&record);
                    (line, cells.and_then(|()| cell(&record, column, "path")))
                }))
            }
            Self::Json(lines) => Ok(lines.next()?.map(|(line, object)| {
                let column = json::path_column(&object);
                let path = column.and_then(|column| json::wanted(&object, &column));
                (line, path)
            })),
        }
    }
}

impl Iterator for ManifestPaths {
    type Item = Result<PathBuf, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.as_mut()?.next() {
            Ok(None) => {
                self.rows = None;
                None
            }
            Ok(Some((_, Ok(path)))) => {
                // What does not exist is for the reader of the image to report.
                Some(Ok(existing(&self.folder, &path).unwrap_or_else(|path| path)))
            }
            Ok(Some((line, Err(reason)))) => Some(Err(error(&self.manifest, Some(line), reason))),
            Err(error) => {
                self.rows = None;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(name: &str, text: &str) -> Vec<Result<String, String>> {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join(name);
        std::fs::write(&manifest, text).unwrap();
        std::fs::write(folder.path().join("b.png"), "").unwrap();
        let short = |path: PathBuf| {
            let path = path.strip_prefix(folder.path()).unwrap().to_owned();
            path.to_str().unwrap().to_owned()
        };
        let all = ManifestPaths::open(&manifest).unwrap();
        all.map(|path| path.map(short).map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn paths_are_read_with_and_without_labels_and_bad_rows_do_not_concern_the_others() {
        let ok = |path: &str| Ok(path.to_owned());
        assert_eq!(
            paths("a.csv", "path\na.png\n\n\"b, \"\"c\"\".png\"\n"),
            [ok("a.png"), ok("b, \"c\".png")]
        );
        assert_eq!(
            paths("a.tsv", "label\tfile_name\ncat\ta.png"),
            [ok("a.png")]
        );
        let found = paths("a.csv", "sep=;\nid;image\n1;a.png\n2\n3;\n4;sub\\b.png\n");
        assert_eq!((&found[0], &found[3]), (&ok("a.png"), &ok("sub\\b.png")));
        let errors: Vec<&String> = found.iter().filter_map(|one| one.as_ref().err()).collect();
        assert!(
            errors[0].ends_with("line 4: it has 1 cell(s), but the first line has 2")
                && errors[1].ends_with("line 5: its path is empty"),
            "{errors:?}"
        );
        let found = paths(
            "a.jsonl",
            "{\"path\": \"a.png\"}\n\n{\"label\": 1}\n{\"image\": \"b.png\", \"label\": 2}\n",
        );
        assert_eq!((&found[0], &found[2]), (&ok("a.png"), &ok("b.png")));
        let error = found[1].as_ref().unwrap_err();
        assert!(error.contains("line 3: it has no key `path`"), "{error}");
        // The rest of a file that is not valid is not read.
        let found = paths(
            "a.jsonl",
            "{\"path\": \"a.png\"}\n{\n{\"path\": \"b.png\"}\n",
        );
        assert_eq!(found.len(), 2);
        assert!(found[1].as_ref().unwrap_err().contains("line 2"));
    }

    #[test]
    fn a_manifest_without_paths_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("a.csv");
        std::fs::write(&manifest, "label;id\ncat;1\n").unwrap();
        let error = ManifestPaths::open(&manifest).unwrap_err().to_string();
        assert!(
            error.contains("it has no column `path`; its columns are: `label`, `id`"),
            "{error}"
        );
    }
}
