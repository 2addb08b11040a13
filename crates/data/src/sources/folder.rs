//! Folders of images: one folder per class, perhaps inside of `train`, `valid` and `test`.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use super::set::{ImageSet, Sample};
use super::source::Source;
use super::splits::{SplitOptions, Splits};
use crate::error::DataError;

/// What it looks like, for lists of what a data set may be.
pub(super) const DESCRIPTION: &str = "Folder with `train` and `test`, or with one folder per class";

/// Names of the folders with training and test images.
const TRAIN_AND_TEST: [(&str, &str); 2] = [("train", "test"), ("train_data", "test_data")];

/// Names of the folder with validation images.
const VALID: [&str; 3] = ["valid", "val", "valid_data"];

/// Extensions of image files.
const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Whether a file has the extension of an image.
pub(crate) fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    let mut known = EXTENSIONS.iter();
    known.any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether a name begins with a dot.
pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// All entries of a folder, in the order of their names. Links are not followed.
pub(crate) fn entries(folder: &Path) -> Result<Vec<(PathBuf, FileType)>, DataError> {
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

/// The folders of the splits, training first and test second; `None` if the folder is not split.
pub(crate) fn split_folders(path: &Path) -> Option<Vec<PathBuf>> {
    for (train, test) in TRAIN_AND_TEST {
        let mut folders = vec![path.join(train), path.join(test)];
        if folders.iter().all(|folder| folder.is_dir()) {
            let valid = VALID.map(|name| path.join(name));
            folders.extend(valid.into_iter().find(|folder| folder.is_dir()));
            return Some(folders);
        }
    }
    None
}

/// Opens a folder with one folder per class, or with one folder per split.
pub(super) fn open(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    let name = path.display().to_string();
    let root = Root::new(path)?;
    if let Some(folders) = split_folders(path) {
        let train = root.classes(&folders[0])?;
        let test = root.same_classes(&folders[1], &train)?;
        let valid = folders.get(2);
        let valid = valid
            .map(|folder| root.same_classes(folder, &train))
            .transpose()?;
        let splits = Splits {
            name,
            train,
            valid,
            test,
        };
        return splits.folded(options);
    }
    // `train` without `test` would be taken for a class.
    for (train, test) in TRAIN_AND_TEST {
        for (has, lacks) in [(train, test), (test, train)] {
            if root.has_classes(&path.join(has))? {
                let path = path.to_owned();
                return Err(DataError::MissingPart { path, has, lacks });
            }
        }
    }
    Splits::of_whole(&root.classes(path)?, name, options)
}

/// Opens the test images of a folder: those of `test` or `test_data` if it has one, otherwise all.
pub(super) fn open_test(path: &Path) -> Result<ImageSet, DataError> {
    let tests = TRAIN_AND_TEST.map(|(_, test)| path.join(test));
    let folder = tests.iter().find(|folder| folder.is_dir());
    Root::new(path)?.classes(folder.map_or(path, PathBuf::as_path))
}

/// The folder of a data set, which no link may lead out of.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(path: &Path) -> Result<Self, DataError> {
        let real = path.canonicalize().map_err(|source| DataError::Io {
            path: path.to_owned(),
            source,
        });
        real.map(Self)
    }

    /// The entries of a folder that are not hidden, in the order of their names. Links are followed.
    fn visible(&self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let mut found = Vec::new();
        for (path, kind) in entries(folder)? {
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
            found.push(Entry { path, is_folder });
        }
        Ok(found)
    }

    /// The target of a link; `None` if it leads to a folder above the link, so that following it would
    /// never end.
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

    /// The images of a split, whose classes must be those of `train`.
    fn same_classes(&self, folder: &Path, train: &ImageSet) -> Result<ImageSet, DataError> {
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

    /// The images of a folder with one folder per class.
    fn classes(&self, folder: &Path) -> Result<ImageSet, DataError> {
        // The folder of a split may be a link itself.
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
            // Every file that a run writes names the classes, so the names must be text and differ.
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
    fn has_classes(&self, folder: &Path) -> Result<bool, DataError> {
        if !folder.is_dir() {
            return Ok(false);
        }
        let mut found = Vec::new();
        for Entry { path: class, .. } in self.folders(folder)? {
            self.images(&class, &mut found)?;
        }
        Ok(!found.is_empty())
    }

    /// Collects all images below a folder, in the order of their paths.
    fn images(&self, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
        for Entry { path, is_folder } in self.visible(folder)? {
            if is_folder {
                self.images(&path, found)?;
            } else if has_image_extension(&path) {
                found.push(path);
            }
        }
        Ok(())
    }

    fn folders(&self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let mut entries = self.visible(folder)?;
        entries.retain(|entry| entry.is_folder);
        Ok(entries)
    }
}

/// A file or folder.
struct Entry {
    path: PathBuf,
    /// Whether it is a folder or a link to one.
    is_folder: bool,
}
