//! Data sets in Parquet files, as the Hugging Face Hub has them: one file, or a folder of files named
//! `train-….parquet`, `test-….parquet` and perhaps `validation-….parquet`.

#[cfg(feature = "parquet")]
mod file;

use std::path::{Path, PathBuf};

use super::format::Format;
use super::parts::{Part, Parts};
use crate::error::DataError;

const EXTENSION: &str = "parquet";

pub(super) const FORMAT: Format = Format {
    description: ".parquet file or folder of such files",
    extensions: &[EXTENSION],
    is_directory: |path| Ok(!files(path)?.is_empty()),
    open: |path, options| read(path)?.splits(path, options),
    open_test: |path| read(path)?.into_test(path),
};

/// The files of a data set, with the splits that their names say.
fn files(path: &Path) -> Result<Vec<(Part, PathBuf)>, DataError> {
    if path.is_file() {
        return Ok(vec![(Part::Unknown, path.to_owned())]);
    }
    // The Hub has files in `data`.
    for folder in [path.to_owned(), path.join("data")] {
        let files = files_in(&folder)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    Ok(Vec::new())
}

/// The Parquet files directly in a folder. The text before the first `-` of a name is the split.
fn files_in(folder: &Path) -> Result<Vec<(Part, PathBuf)>, DataError> {
    let mut files = Vec::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    let io = |source| DataError::Io {
        path: folder.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !extension.is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION)) {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let name = name.split_once('-').map_or(name, |(part, _)| part);
        let part = Part::named(name).ok_or_else(|| DataError::Parquet {
            path: path.clone(),
            reason: "its name must begin with train-, validation- or test-".to_owned(),
        })?;
        files.push((part, path));
    }
    files.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(files)
}

#[cfg(feature = "parquet")]
fn read(path: &Path) -> Result<Parts, DataError> {
    file::read(files(path)?)
}

#[cfg(not(feature = "parquet"))]
fn read(path: &Path) -> Result<Parts, DataError> {
    Err(DataError::Parquet {
        path: path.to_owned(),
        reason: "this program was built without its feature `parquet`".to_owned(),
    })
}
