//! Reading a folder of classes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::set::{ImageSet, Sample, Source, Splits};

/// Names of the training and the test part.
const PARTS: [(&str, &str); 2] = [("train", "test"), ("train_data", "test_data")];

/// How a folder without a test part is split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitOptions {
    /// Share of each class that is held out as the test set.
    pub test_fraction: f64,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            test_fraction: 0.25,
            seed: 0,
        }
    }
}

/// Opens a data set.
///
/// `path` holds `train` and `test` (and perhaps `valid` or `val`), or `train_data` and
/// `test_data`, or one folder a class, which is then split.
///
/// # Errors
///
/// A path that is no folder, no class or one only, an empty class, a training part without a test
/// part, or a test or validation part with other classes than the training part.
pub fn open(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    if !path.is_dir() {
        return Err(DataError::NotAFolder(path.to_owned()));
    }
    let name = path.display().to_string();
    for (train, test) in PARTS {
        let (train, test) = (path.join(train), path.join(test));
        if !(train.is_dir() && test.is_dir()) {
            continue;
        }
        let train = classes(&train)?;
        let test = part(&test, &train)?;
        let valid = ["valid", "val", "valid_data"].map(|part| path.join(part));
        let valid = valid.iter().find(|folder| folder.is_dir());
        let valid = valid.map(|folder| part(folder, &train)).transpose()?;
        return Ok(Splits {
            name,
            train,
            valid,
            test,
        });
    }
    // A part without its partner would pass for a class.
    for (train, test) in PARTS {
        for (has, lacks) in [(train, test), (test, train)] {
            if holds_classes(&path.join(has))? {
                let path = path.to_owned();
                return Err(DataError::MissingPart { path, has, lacks });
            }
        }
    }
    let all = classes(path)?;
    for (class, count) in all.classes.iter().zip(all.per_class()) {
        if count < 2 {
            return Err(DataError::TooFewToSplit {
                class: class.clone(),
                count,
            });
        }
    }
    let (train, test) = all.split(options.test_fraction, options.seed);
    Ok(Splits {
        name,
        train,
        valid: None,
        test,
    })
}

/// Opens images to test with: the `test` or `test_data` part of `path` where it has one, else all
/// of its class folders.
///
/// # Errors
///
/// A path that is no folder, no class or one only, or an empty class.
pub fn open_test(path: &Path) -> Result<ImageSet, DataError> {
    if !path.is_dir() {
        return Err(DataError::NotAFolder(path.to_owned()));
    }
    let parts = ["test", "test_data"].map(|part| path.join(part));
    classes(
        parts
            .iter()
            .find(|part| part.is_dir())
            .map_or(path, PathBuf::as_path),
    )
}

/// A part with the classes of `train`.
fn part(folder: &Path, train: &ImageSet) -> Result<ImageSet, DataError> {
    let set = classes(folder)?;
    if set.classes == train.classes {
        return Ok(set);
    }
    let without = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|class| !those.contains(class))
            .cloned()
            .collect()
    };
    Err(DataError::ClassesDiffer {
        path: folder.to_owned(),
        missing: without(&train.classes, &set.classes),
        extra: without(&set.classes, &train.classes),
    })
}

/// A folder with one folder a class.
fn classes(folder: &Path) -> Result<ImageSet, DataError> {
    let mut set = ImageSet {
        classes: Vec::new(),
        samples: Vec::new(),
    };
    let mut empty = None;
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let mut files = Vec::new();
        images(&class, &mut files)?;
        if files.is_empty() {
            empty = empty.or(Some(class.clone()));
        }
        let label = set.classes.len();
        set.classes.push(
            class
                .file_name()
                .unwrap_or(OsStr::new(""))
                .to_string_lossy()
                .into(),
        );
        set.samples.extend(files.into_iter().map(|path| Sample {
            source: Source::File(path),
            label,
        }));
    }
    match (set.classes.as_slice(), empty) {
        ([], _) => Err(DataError::NoClasses(folder.to_owned())),
        _ if set.is_empty() => Err(DataError::NoClasses(folder.to_owned())),
        (_, Some(class)) => Err(DataError::EmptyClass(class)),
        ([class], None) => Err(DataError::OneClass {
            path: folder.to_owned(),
            class: class.clone(),
        }),
        _ => Ok(set),
    }
}

/// Whether a folder has a folder with images.
fn holds_classes(folder: &Path) -> Result<bool, DataError> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let mut found = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        images(&class, &mut found)?;
    }
    Ok(!found.is_empty())
}

/// All images below a folder, in the order of their paths.
fn images(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];
    for path in entries(folder)? {
        if path.is_dir() {
            if !leads_upwards(&path, folder) {
                images(&path, found)?;
            }
        } else if path.extension().is_some_and(|ending| {
            ENDINGS
                .iter()
                .any(|known| ending.eq_ignore_ascii_case(known))
        }) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a folder is a link to one that holds it: following it would never end.
fn leads_upwards(path: &Path, parent: &Path) -> bool {
    path.is_symlink()
        && match (path.canonicalize(), parent.canonicalize()) {
            (Ok(target), Ok(parent)) => parent.starts_with(target),
            _ => false,
        }
}

/// What a folder holds, hidden entries left out, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |source| DataError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
