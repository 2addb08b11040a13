//! Reading a folder of classes.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::sources::set::{Fold, ImageSet, Sample, Source, Splits};

/// Names of the training and the test part.
const PARTS: [(&str, &str); 2] = [("train", "test"), ("train_data", "test_data")];

/// Names of the validation part.
const VALID: [&str; 3] = ["valid", "val", "valid_data"];
/// Endings of images.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Whether a file's ending is an image's.
pub(crate) fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    let mut known = ENDINGS.iter();
    known.any(|known| ending.eq_ignore_ascii_case(known))
}

/// Whether a name begins with a dot.
pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// All that a folder holds, links as such, in the order of the names.
pub(crate) fn listed(folder: &Path) -> Result<Vec<(PathBuf, FileType)>, DataError> {
    let io = |source| DataError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        all.push((entry.path(), entry.file_type().map_err(io)?));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// The parts of a folder that has some, training first and test second.
pub(crate) fn parts(path: &Path) -> Option<Vec<PathBuf>> {
    for (train, test) in PARTS {
        let mut parts = vec![path.join(train), path.join(test)];
        if parts.iter().all(|part| part.is_dir()) {
            let valid = VALID.map(|part| path.join(part));
            parts.extend(valid.into_iter().find(|folder| folder.is_dir()));
            return Some(parts);
        }
    }
    None
}

/// How a folder without a test part is split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitOptions {
    /// Share of each class that is held out as the test set.
    pub test_fraction: f64,
    /// Seed of the choice.
    pub seed: u64,
    /// Instead of that share, this fold: of a data set with a test part the training images are
    /// dealt into folds and this one is for validation, of one without this one is the test set.
    pub fold: Option<Fold>,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            test_fraction: 0.25,
            seed: 0,
            fold: None,
        }
    }
}

/// Opens a folder of class folders, or of parts with class folders.
pub(crate) fn open_folder(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    let name = path.display().to_string();
    let root = Root::new(path)?;
    if let Some(parts) = parts(path) {
        let train = root.classes(&parts[0])?;
        let test = root.part(&parts[1], &train)?;
        let valid = parts.get(2);
        let valid = valid.map(|folder| root.part(folder, &train)).transpose()?;
        let splits = Splits {
            name,
            train,
            valid,
            test,
        };
        return splits.folded(options);
    }
    // A part without its partner would pass for a class.
    for (train, test) in PARTS {
        for (has, lacks) in [(train, test), (test, train)] {
            if root.holds_classes(&path.join(has))? {
                let path = path.to_owned();
                return Err(DataError::MissingPart { path, has, lacks });
            }
        }
    }
    root.classes(path)?.split_whole(name, options)
}

/// Opens a folder to test with: its `test` or `test_data` part where it has one, else all of its
/// class folders.
pub(crate) fn open_test_folder(path: &Path) -> Result<ImageSet, DataError> {
    let parts = ["test", "test_data"].map(|part| path.join(part));
    let folder = parts.iter().find(|part| part.is_dir());
    Root::new(path)?.classes(folder.map_or(path, PathBuf::as_path))
}

/// The folder that nothing may lead out of.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(path: &Path) -> Result<Self, DataError> {
        let real = path.canonicalize().map_err(|source| DataError::Io {
            path: path.to_owned(),
            source,
        });
        real.map(Self)
    }

    /// What a folder holds, hidden entries left out, in the order of the names.
    fn entries(&self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let mut entries = Vec::new();
        for (path, kind) in listed(folder)? {
            if is_hidden(&path) {
                continue;
            }
            let is_folder = if kind.is_symlink() {
                match self.follow(&path, folder)? {
                    Some(target) => target.is_dir(),
                    None => continue,
                }
            } else {
                kind.is_dir()
            };
            entries.push(Entry { path, is_folder });
        }
        Ok(entries)
    }

    /// Where a link leads; nowhere where following it would never end.
    pub(crate) fn follow(&self, link: &Path, parent: &Path) -> Result<Option<PathBuf>, DataError> {
        let io = |source| DataError::Io {
            path: link.to_owned(),
            source,
        };
        let target = link.canonicalize().map_err(io)?;
        if !target.starts_with(&self.0) {
            return Err(DataError::LinkLeaves {
                path: link.to_owned(),
                target,
            });
        }
        let upwards = parent.canonicalize().map_err(io)?.starts_with(&target);
        Ok((!upwards).then_some(target))
    }

    /// A part with the classes of `train`.
    fn part(&self, folder: &Path, train: &ImageSet) -> Result<ImageSet, DataError> {
        let set = self.classes(folder)?;
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
    fn classes(&self, folder: &Path) -> Result<ImageSet, DataError> {
        // A part may be a link itself.
        if folder.is_symlink() && folder.canonicalize().is_ok_and(|real| real != self.0) {
            self.follow(folder, folder.parent().unwrap_or(folder))?;
        }
        let mut set = ImageSet {
            classes: Vec::new(),
            samples: Vec::new(),
        };
        let mut empty = None;
        for Entry { path: class, .. } in self.folders(folder)? {
            let mut files = Vec::new();
            self.images(&class, &mut files)?;
            if files.is_empty() {
                empty = empty.or(Some(class.clone()));
            }
            let label = set.classes.len();
            // Names of classes go into every file that a run writes: they are text and differ.
            let name = class
                .file_name()
                .unwrap_or(OsStr::new(""))
                .to_string_lossy();
            if set.classes.iter().any(|known| *known == name) {
                return Err(DataError::NotUtf8(class));
            }
            set.classes.push(name.into_owned());
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
    fn holds_classes(&self, folder: &Path) -> Result<bool, DataError> {
        if !folder.is_dir() {
            return Ok(false);
        }
        let mut found = Vec::new();
        for Entry { path: class, .. } in self.folders(folder)? {
            self.images(&class, &mut found)?;
        }
        Ok(!found.is_empty())
    }

    /// All images below a folder, in the order of their paths.
    fn images(&self, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
        for Entry { path, is_folder } in self.entries(folder)? {
            if is_folder {
                self.images(&path, found)?;
            } else if has_image_ending(&path) {
                found.push(path);
            }
        }
        Ok(())
    }

    fn folders(&self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let mut entries = self.entries(folder)?;
        entries.retain(|entry| entry.is_folder);
        Ok(entries)
    }
}

/// A file or folder.
struct Entry {
    path: PathBuf,
    /// Whether it is a folder, or a link to one.
    is_folder: bool,
}
