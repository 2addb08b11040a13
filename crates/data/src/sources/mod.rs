//! Opening a data set, whatever it is kept in.

pub(crate) mod embedded;
pub(crate) mod folder;
pub(crate) mod idx;
mod manifest;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
pub(crate) mod parts;
pub(crate) mod set;

use std::path::{Path, PathBuf};

use crate::check::survey::Survey;
use crate::error::DataError;
use crate::sources::folder::{SplitOptions, open_folder, open_test_folder};
use crate::sources::idx::{is_idx, open_whole_idx};
use crate::sources::parts::{Part, Parts};
use crate::sources::set::{ImageSet, Splits};

/// Opens a data set.
///
/// `path` is one of
///
/// - a folder with `train` and `test` (and perhaps `valid` or `val`), or `train_data` and
///   `test_data`, or one folder a class, which is then split;
/// - a manifest, `.csv` with the columns or `.jsonl` with the keys `path`, `label` and perhaps
///   `split`;
/// - a `.parquet` file with a column `image` and a column `label`, or a folder of such files named
///   `train-….parquet`, `test-….parquet` and perhaps `validation-….parquet`, as the Hugging Face Hub
///   has them (feature `parquet`);
/// - a folder of IDX files, as MNIST's.
///
/// # Errors
///
/// A path that is none of these, no class or one only, an empty class, a training part without a test
/// part, a test or validation part with other classes than the training part, a link that leaves the
/// folder, and whatever is wrong with a file.
pub fn open(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    match Kind::of(path)? {
        Kind::Folder => open_folder(path, options),
        Kind::Idx => open_whole_idx(path, options),
        Kind::Manifest => manifest::read(path)?.splits(path, options),
        Kind::Parquet(files) => read_parquet(path, files)?.splits(path, options),
    }
}

/// Opens images to test with: the test part of `path` where it has one, else all of its images.
///
/// # Errors
///
/// As [`open`].
pub fn open_test(path: &Path) -> Result<ImageSet, DataError> {
    match Kind::of(path)? {
        Kind::Folder => open_test_folder(path),
        Kind::Idx => Ok(open_whole_idx(path, &SplitOptions::default())?.test),
        Kind::Manifest => manifest::read(path)?.into_test(path),
        Kind::Parquet(files) => read_parquet(path, files)?.into_test(path),
    }
}

/// Looks for what lies in a folder of images beside them; `None` where `path` is a data set of
/// another kind.
///
/// # Errors
///
/// A path that is no data set, and a folder that cannot be read.
pub fn survey(path: &Path) -> Result<Option<Survey>, DataError> {
    match Kind::of(path)? {
        Kind::Folder => Survey::of(path).map(Some),
        Kind::Idx | Kind::Manifest | Kind::Parquet(_) => Ok(None),
    }
}

/// What a data set is kept in.
enum Kind {
    Folder,
    Idx,
    Manifest,
    /// Files and the parts that their names say.
    Parquet(Vec<(Part, PathBuf)>),
}

impl Kind {
    fn of(path: &Path) -> Result<Self, DataError> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        if path.is_file() {
            return match ending.as_str() {
                "csv" | "jsonl" | "ndjson" => Ok(Self::Manifest),
                "parquet" => Ok(Self::Parquet(vec![(Part::All, path.to_owned())])),
                _ => Err(DataError::NotAFolder(path.to_owned())),
            };
        }
        if !path.is_dir() {
            return Err(DataError::NotAFolder(path.to_owned()));
        }
        if is_idx(path) {
            return Ok(Self::Idx);
        }
        // The Hub keeps files in `data`.
        for folder in [path.to_owned(), path.join("data")] {
            let files = parquet_files(&folder)?;
            if !files.is_empty() {
                return Ok(Self::Parquet(files));
            }
        }
        Ok(Self::Folder)
    }
}

/// The Parquet files of a folder; the part is what stands before the first `-`.
fn parquet_files(folder: &Path) -> Result<Vec<(Part, PathBuf)>, DataError> {
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
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !ending.is_some_and(|ending| ending.eq_ignore_ascii_case("parquet")) {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let name = name.split_once('-').map_or(name, |(part, _)| part);
        let part = Part::named(name).ok_or_else(|| DataError::Parquet {
            path: path.clone(),
            reason: "its name begins with none of train-, validation- and test-".to_owned(),
        })?;
        files.push((part, path));
    }
    files.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(files)
}

#[cfg(feature = "parquet")]
fn read_parquet(_: &Path, files: Vec<(Part, PathBuf)>) -> Result<Parts, DataError> {
    crate::sources::parquet::read(files)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(path: &Path, _: Vec<(Part, PathBuf)>) -> Result<Parts, DataError> {
    Err(DataError::Parquet {
        path: path.to_owned(),
        reason: "this program was built without its feature `parquet`".to_owned(),
    })
}
