//! Data sets in Parquet files, as the Hugging Face Hub has them: one file, or a folder of files named
//! `train-….parquet`, `test-….parquet` and perhaps `validation-….parquet`, or in folders of these names.

#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod file;
#[cfg(feature = "parquet")]
mod pages;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use finetune_files::quoted;

use super::folder::walk::{has_image_extension, is_hidden};
use super::format::Format;
use super::parts::{Part, Parts};
use crate::error::DataError;
#[cfg(feature = "parquet")]
use crate::guard::guarded;

const EXTENSION: &str = "parquet";

pub(super) const FORMAT: Format = Format {
    description: ".parquet file or folder of such files",
    extensions: &[EXTENSION],
    is_directory: |path| Ok(is_data_set(&below(path, 0)?)),
    open: |path, options| read(path)?.splits(path, options),
    open_test: |path| read(path)?.into_test(path),
};

/// Folders in folders that are looked into: `default/train/0000.parquet`.
const DEEPEST: usize = 2;
/// Most folders of a folder that are looked into: a folder of classes may have thousands.
const MOST_FOLDERS: usize = 32;

/// The files of a data set, with the parts that their names or those of their folders say.
fn files(path: &Path) -> Result<Vec<(Part, PathBuf)>, DataError> {
    if !path.is_dir() {
        return Ok(vec![(Part::Unknown, path.to_owned())]);
    }
    let Found { files: found, .. } = below(path, 0)?;
    let mut sets = BTreeSet::new();
    let mut files = Vec::new();
    for file in found {
        let folders: Vec<String> = file
            .strip_prefix(path)
            .ok()
            .and_then(Path::parent)
            .map(|folder| {
                let names = folder.components();
                names
                    .map(|name| name.as_os_str().to_string_lossy().into_owned())
                    .collect()
            })
            .unwrap_or_default();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let part = part(&name).or_else(|| folders.iter().rev().find_map(|name| Part::named(name)));
        let set: Vec<&String> = folders
            .iter()
            .filter(|name| Part::named(name).is_none() && *name != "data")
            .collect();
        sets.insert(set.into_iter().cloned().collect::<Vec<_>>().join("/"));
        files.push((part.unwrap_or(Part::Unknown), file));
    }
    if sets.len() > 1 {
        let names: Vec<String> = sets
            .iter()
            .map(|set| {
                if set.is_empty() {
                    "its own files".to_owned()
                } else {
                    quoted(set)
                }
            })
            .collect();
        return Err(DataError::Ambiguous {
            path: path.to_owned(),
            reason: format!(
                "it has several data sets: {}; give the folder of one of them",
                names.join(", ")
            ),
        });
    }
    let is_known = |(part, _): &&(Part, PathBuf)| *part != Part::Unknown;
    if files.iter().any(|file| is_known(&file))
        && let Some((_, file)) = files.iter().find(|file| !is_known(file))
    {
        return Err(DataError::Parquet {
            path: file.clone(),
            reason:
                "its name must begin with train-, validation- or test-, as those of other files do"
                    .to_owned(),
        });
    }
    Ok(files)
}

/// The part that the name of a file says: `train-00000-of-00001`, `validation`.
fn part(name: &str) -> Option<Part> {
    let first = name.split_once('-').map_or(name, |(first, _)| first);
    Part::named(first).or_else(|| Part::named(name))
}

/// What is in a folder and in the folders in it.
#[derive(Default)]
struct Found {
    /// Parquet files, in the order of their paths.
    files: Vec<PathBuf>,
    /// Whether some of them are in the folder itself, or in `data` where the Hub has them.
    at_the_top: bool,
    has_images: bool,
}

/// Whether a folder is a data set of Parquet files and not of images with a Parquet file somewhere.
fn is_data_set(found: &Found) -> bool {
    found.at_the_top || !found.files.is_empty() && !found.has_images
}

fn below(folder: &Path, depth: usize) -> Result<Found, DataError> {
    let io = |source| DataError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut found = Found::default();
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        if is_hidden(&path) {
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let kind = entry.file_type().map_err(io)?;
        if extension.is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION)) {
            found.files.push(path);
        } else if kind.is_dir() || kind.is_symlink() && path.is_dir() {
            folders.push(path);
        } else {
            found.has_images |= has_image_extension(&path);
        }
    }
    found.at_the_top = !found.files.is_empty();
    if depth < DEEPEST && folders.len() <= MOST_FOLDERS {
        for folder in folders {
            // A folder that cannot be read may have nothing to do with Parquet files.
            let inner = below(&folder, depth + 1).unwrap_or_default();
            found.at_the_top |= inner.at_the_top && folder.ends_with("data");
            found.has_images |= inner.has_images;
            found.files.extend(inner.files);
        }
    }
    found.files.sort();
    Ok(found)
}

#[cfg(feature = "parquet")]
fn read(path: &Path) -> Result<Parts, DataError> {
    let files = files(path)?;
    // The reader panics on some damaged files.
    let outcome = guarded(|| file::read(path, files));
    outcome.unwrap_or_else(|reason| {
        Err(DataError::Parquet {
            path: path.to_owned(),
            reason,
        })
    })
}

#[cfg(not(feature = "parquet"))]
fn read(path: &Path) -> Result<Parts, DataError> {
    files(path)?;
    Err(DataError::Parquet {
        path: path.to_owned(),
        reason: "this program was built without its feature `parquet`".to_owned(),
    })
}
