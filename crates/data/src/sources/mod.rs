//! Names and labels of images, from whatever a data set is stored in. Nothing is decoded here.
//!
//! A new format is one file with a `Format` and one row of `FORMATS`; a data set with a name of its
//! own is one file with a [`NamedSet`] and one row of [`NAMED_SETS`].

pub(crate) mod embedded;
mod fashion_mnist;
pub(crate) mod folder;
mod format;
mod idx;
mod manifest;
mod named;
mod parquet;
mod parts;
pub(crate) mod set;
pub(crate) mod source;
pub(crate) mod splits;

use std::path::Path;

use self::format::Format;
pub use self::idx::{IdxOptions, open_idx};
pub use self::named::NamedSet;
pub use self::set::{Fold, ImageSet, Sample};
pub use self::source::{Container, Source};
pub use self::splits::{SplitOptions, Splits};
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
/// - `train` and `test` (and perhaps `valid` or `val`) with one folder per class each; `train_data`
///   and `test_data` are other names of the two.
///
/// # Errors
///
/// The path is neither; there is no class or only one, or a class without images; there are training
/// images in a split of their own but no test images; the test or validation split has other classes
/// than the training split; a link leads out of the folder; a file cannot be read or is not valid.
pub fn open(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    match format_of(path)? {
        Some(format) => (format.open)(path, options),
        None => folder::open(path, options),
    }
}

/// Opens the test images of the data set at a path: those of its test split if it has one, otherwise
/// all of its images.
///
/// # Errors
///
/// As [`open`].
pub fn open_test(path: &Path) -> Result<ImageSet, DataError> {
    match format_of(path)? {
        Some(format) => (format.open_test)(path),
        None => folder::open_test(path),
    }
}

/// The data set that has this name, if there is one.
#[must_use]
pub fn named(name: &Path) -> Option<&'static NamedSet> {
    NAMED_SETS
        .iter()
        .find(|set| name.to_str() == Some(set.name))
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
/// [`DataError::NotADataSet`] if the path is a file of no known format or does not exist, and
/// whatever prevents a directory from being listed.
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
    match found.filter(|_| path.is_file()) {
        Some(format) => Ok(Some(format)),
        None => Err(DataError::NotADataSet {
            path: path.to_owned(),
            extensions: extensions(),
        }),
    }
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
             .csv, .jsonl or .ndjson manifest; .parquet file or folder of such files; or `embedded`, \
             `fashion-mnist`"
        );
        assert_eq!(
            pretraining_description(),
            "Data set as for training; or `embedded` (hands that show 5–9), `fashion-mnist` (its five \
             other classes)"
        );
    }
}
