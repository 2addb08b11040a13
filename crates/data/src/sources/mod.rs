//! Names and labels of images, from whatever a data set is stored in. Nothing is decoded here.
//!
//! A new format is one file with a `Format` and one row of `FORMATS`; a data set with a name of its
//! own is one file with a [`NamedSet`] and one row of [`NAMED_SETS`].

mod contents;
mod deal;
pub(crate) mod embedded;
mod fashion_mnist;
mod fingerprint;
pub(crate) mod folder;
mod format;
mod groups;
mod idx;
pub(crate) mod left_out;
mod manifest;
mod named;
mod origin;
mod parquet;
pub(crate) mod part_names;
mod parts;
pub(crate) mod set;
pub(crate) mod source;
pub(crate) mod splits;
mod understood;

use std::path::{Path, PathBuf};

pub use self::contents::Contents;
pub use self::fingerprint::{Fingerprint, PartFingerprint};
pub use self::folder::walk::has_image_extension;
use self::format::Format;
pub use self::idx::{IdxOptions, open_idx};
pub use self::left_out::{LeftOut, Why};
pub use self::manifest::{ManifestPaths, is_manifest};
pub use self::named::NamedSet;
pub use self::set::{Fold, ImageSet, Sample};
pub use self::source::{Container, Source};
pub use self::splits::{SplitOptions, Splits};
pub use self::understood::{ClassCount, PartSummary, Understood};
use crate::error::DataError;

/// All formats, in the order in which a directory is tried. A directory that is of none of them is a
/// folder of images.
const FORMATS: &[Format] = &[idx::FORMAT, manifest::FORMAT, parquet::FORMAT];

/// All data sets that are opened by their names.
pub const NAMED_SETS: &[NamedSet] = &[embedded::SIGNS, fashion_mnist::FASHION_MNIST];

/// Opens the data set at a path.
///
/// `path` is a folder of images or of one of the formats that [`description`] lists. A folder of
/// images has
///
/// - one folder per class, which is then split, or
/// - folders for training and testing, and perhaps for validation, with one folder per class each, or
/// - one folder per class, with such folders in each of them.
///
/// The folders of parts have one of their common names: `train`, `Training`, `seg_train`, …
/// [`Splits::understood`] says what was recognised.
///
/// # Errors
///
/// The path is neither; there is no class or only one, or a class without images; there are training
/// images in a part of their own but neither test nor validation images; the test or validation part
/// has other classes than the training part; a link leads out of the folder; a file cannot be read or is
/// not valid.
pub fn open(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    let mut splits = match format_of(path)? {
        Some(format) => (format.open)(path, options),
        None => folder::open(path, options),
    }?;
    splits.origin.notes.extend(instead_of_named(path));
    Ok(splits)
}

/// Opens the test images of the data set at a path: those of its test part, otherwise those of its
/// validation part, otherwise all of its images.
///
/// # Errors
///
/// As [`open`].
pub fn open_test(path: &Path) -> Result<ImageSet, DataError> {
    understood_test(path).map(|(set, _)| set)
}

/// As [`open_test`], and how the data set was understood.
///
/// # Errors
///
/// As [`open`].
pub fn understood_test(path: &Path) -> Result<(ImageSet, Understood), DataError> {
    let (set, mut origin) = match format_of(path)? {
        Some(format) => (format.open_test)(path),
        None => folder::open_test(path),
    }?;
    origin.notes.extend(instead_of_named(path));
    let understood = Understood::of_test(origin, &set);
    Ok((set, understood))
}

/// What a path that a user typed means: a file or folder if it exists, even if it is called like a
/// data set that is opened by its name.
///
/// A path that was saved is not passed here: `embedded` in it is the data set of that name, and
/// `./embedded` a folder.
#[must_use]
pub fn typed(path: &Path) -> PathBuf {
    if named(path).is_some() && path.exists() {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    }
}

/// Says that a folder is called like a data set that is opened by its name.
fn instead_of_named(path: &Path) -> Option<String> {
    let name = path.strip_prefix(".").ok()?;
    let set = named(name).filter(|set| name == Path::new(set.name))?;
    Some(format!(
        "{} is the folder here; the data set that is part of {} is `{BUILT_IN}{}`",
        finetune_files::quoted_path(path),
        if set.name == embedded::SIGNS.name {
            "the program"
        } else {
            "the system"
        },
        set.name
    ))
}

/// What may precede the name of a data set, to tell it from a folder.
const BUILT_IN: &str = "built-in:";

/// The data set that has this name, if there is one: `embedded`, or `built-in:embedded`.
#[must_use]
pub fn named(name: &Path) -> Option<&'static NamedSet> {
    let name = name.to_str()?;
    let name = name.strip_prefix(BUILT_IN).unwrap_or(name);
    NAMED_SETS.iter().find(|set| name == set.name)
}

/// What a data set may be, on one line for a help text.
#[must_use]
pub fn description() -> String {
    let formats = FORMATS.iter().map(|format| format.description);
    let paths: Vec<&str> = std::iter::once(folder::DESCRIPTION)
        .chain(formats)
        .collect();
    let names: Vec<String> = NAMED_SETS
        .iter()
        .map(|set| format!("`{}`", set.name))
        .collect();
    format!("{}; or {}", paths.join("; "), names.join(", "))
}

/// What images to pretrain with may be, on one line for a help text.
#[must_use]
pub fn pretraining_description() -> String {
    let sets: Vec<String> = NAMED_SETS
        .iter()
        .map(|set| format!("`{}` ({})", set.name, set.pretraining_description))
        .collect();
    format!("Data set as for training; or {}", sets.join(", "))
}

/// The format of the data set at a path; `None` for a folder of images.
///
/// # Errors
///
/// [`DataError::Missing`] if the path does not exist, [`DataError::NotADataSet`] if it is a file of no
/// known format, and whatever prevents a directory from being listed.
pub(crate) fn format_of(path: &Path) -> Result<Option<&'static Format>, DataError> {
    if path.is_dir() {
        for format in FORMATS {
            if (format.is_directory)(path)? {
                return Ok(Some(format));
            }
        }
        return Ok(None);
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_ascii_lowercase();
    let mut formats = FORMATS.iter();
    let found = formats.find(|format| format.extensions.contains(&extension.as_str()));
    match found.filter(|_| path.exists()) {
        Some(format) => Ok(Some(format)),
        None if !path.exists() => Err(DataError::Missing {
            path: path.to_owned(),
            near: nearest(path),
            extensions: extensions(),
        }),
        None => Err(DataError::NotADataSet {
            path: path.to_owned(),
            extensions: extensions(),
        }),
    }
}

/// The file or folder beside a path that does not exist whose name is most like its own, or the name of
/// a data set.
fn nearest(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let here = folder == Path::new("");
    let beside = if here { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(beside).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    if here {
        names.extend(NAMED_SETS.iter().map(|set| set.name.to_owned()));
    }
    names.sort_unstable();
    let near = finetune_files::nearest(wanted, names.iter().map(String::as_str));
    near.map(|name| folder.join(name))
}

/// The extensions of all formats: `.a, .b or .c`.
fn extensions() -> String {
    let all = FORMATS.iter().flat_map(|format| format.extensions);
    let mut all: Vec<String> = all.map(|extension| format!(".{extension}")).collect();
    let last = all.pop().unwrap_or_default();
    format!("{} or {last}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_texts_list_every_format_and_name() {
        assert_eq!(
            description(),
            "Folder with `train` and `test`, or with one folder per class; folder of IDX files; \
             .csv, .tsv, .jsonl or .ndjson manifest; .parquet file or folder of such files; or \
             `embedded`, `fashion-mnist`"
        );
        assert_eq!(
            pretraining_description(),
            "Data set as for training; or `embedded` (hands that show 5–9), `fashion-mnist` (its five \
             other classes)"
        );
    }
}
