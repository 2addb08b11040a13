//! Walking through the folder of a data set.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::sources::left_out::{Count, Why, why};
use crate::sources::set::{ImageSet, Sample};
use crate::sources::source::Source;

/// Extensions of image files: those of Pillow for the formats that are read.
const EXTENSIONS: [&str; 19] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "pjpeg", "pjp", "webp", "gif",
    "bmp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm",
];

/// Folders that systems and archivers make beside those of people.
const SYSTEM_FOLDERS: [&str; 6] = [
    "__MACOSX",
    "__pycache__",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
];

/// Whether a file has the extension of an image.
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    let mut known = EXTENSIONS.iter();
    known.any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether a name begins with a dot or is that of a folder that a system makes.
pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".") || SYSTEM_FOLDERS.iter().any(|known| name == *known)
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

/// A file or folder.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Whether it is a folder or a link to one.
    pub(crate) is_folder: bool,
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
    fn visible(&self, folder: &Path, left_out: &mut Count) -> Result<Vec<Entry>, DataError> {
        let mut found = Vec::new();
        for (path, kind) in entries(folder)? {
            if is_hidden(&path) {
                left_out.add(&path, Why::Hidden);
                continue;
            }
            let is_folder = if kind.is_symlink() {
                let Some(target) = self.follow(&path, folder)? else {
                    left_out.add(&path, Why::Loop);
                    continue;
                };
                target.is_dir()
            } else {
                kind.is_dir()
            };
            found.push(Entry { path, is_folder });
        }
        Ok(found)
    }

    /// The entries of a folder that are not hidden, to find out what it is: a link that is an error is
    /// none before it is used.
    pub(crate) fn glance(&self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let mut found = Vec::new();
        for (path, kind) in entries(folder)? {
            if is_hidden(&path) {
                continue;
            }
            let is_folder = if kind.is_symlink() {
                match self.follow(&path, folder) {
                    Ok(None) => continue,
                    Ok(Some(target)) => target.is_dir(),
                    Err(_) => path.is_dir(),
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

    /// The images of a part, whose classes must be those of `train`.
    pub(super) fn same_classes(
        &self,
        folder: &Path,
        train: &ImageSet,
        left_out: &mut Count,
    ) -> Result<ImageSet, DataError> {
        let set = match self.classes(folder, left_out) {
            // What is wrong with it is which classes it lacks.
            Err(DataError::OneClass { class, .. }) => ImageSet {
                classes: vec![class],
                samples: Vec::new(),
            },
            outcome => outcome?,
        };
        if set.classes == train.classes {
            return Ok(set);
        }
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            let those: HashSet<&String> = those.iter().collect();
            let only = these.iter().filter(|class| !those.contains(class));
            only.cloned().collect()
        };
        Err(DataError::ClassesDiffer {
            path: folder.to_owned(),
            missing: without(&train.classes, &set.classes),
            extra: without(&set.classes, &train.classes),
        })
    }

    /// The images of a folder with one folder per class.
    pub(super) fn classes(
        &self,
        folder: &Path,
        left_out: &mut Count,
    ) -> Result<ImageSet, DataError> {
        // The folder of a part may be a link itself.
        if folder.is_symlink() && folder.canonicalize().is_ok_and(|real| real != self.0) {
            self.follow(folder, folder.parent().unwrap_or(folder))?;
        }
        let mut classes = Classes::default();
        let mut empty = None;
        for Entry { path, is_folder } in self.visible(folder, left_out)? {
            if !is_folder {
                beside(&path, left_out);
                continue;
            }
            let before = classes.set.samples.len();
            let label = classes.add(&path)?;
            self.images(&path, label, &mut classes.set, left_out)?;
            if classes.set.samples.len() == before {
                empty = empty.or(Some(path));
            }
        }
        classes.checked(folder, empty)
    }

    /// Collects all images below a folder, in the order of their paths.
    pub(super) fn images(
        &self,
        folder: &Path,
        label: usize,
        set: &mut ImageSet,
        left_out: &mut Count,
    ) -> Result<(), DataError> {
        for Entry { path, is_folder } in self.visible(folder, left_out)? {
            if is_folder {
                self.images(&path, label, set, left_out)?;
            } else if has_image_extension(&path) {
                let source = Source::File(path);
                set.samples.push(Sample::new(source, label));
            } else {
                let regular = path.metadata().is_ok_and(|data| data.is_file());
                left_out.add(&path, if regular { why(&path) } else { Why::Special });
            }
        }
        Ok(())
    }

    /// Whether there is an image in a folder or below it.
    pub(super) fn has_images(&self, folder: &Path) -> Result<bool, DataError> {
        // Files first, so that most folders are not descended into.
        let entries = self.glance(folder)?;
        if entries.iter().any(is_image) {
            return Ok(true);
        }
        for entry in entries.iter().filter(|entry| entry.is_folder) {
            if self.has_images(&entry.path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a folder has a folder with images.
    pub(super) fn has_classes(&self, folder: &Path) -> Result<bool, DataError> {
        for entry in self.glance(folder)? {
            if entry.is_folder && self.has_images(&entry.path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether an entry has the name of an image.
pub(super) fn is_image(entry: &Entry) -> bool {
    !entry.is_folder && has_image_extension(&entry.path)
}

/// Notes a file next to folders of classes.
pub(super) fn beside(path: &Path, left_out: &mut Count) {
    let image = has_image_extension(path);
    left_out.add(path, if image { Why::Place } else { why(path) });
}

/// Class folders whose names are text and differ, because every file that a run writes names the
/// classes.
#[derive(Default)]
pub(super) struct Classes {
    pub(super) set: ImageSet,
    names: HashSet<String>,
}

impl Classes {
    /// Adds a class and returns its label.
    pub(super) fn add(&mut self, folder: &Path) -> Result<usize, DataError> {
        let name = folder.file_name().unwrap_or(OsStr::new(""));
        let name = name.to_string_lossy().into_owned();
        if !self.names.insert(name.clone()) {
            return Err(DataError::NotUtf8(folder.to_owned()));
        }
        self.set.classes.push(name);
        Ok(self.set.classes.len() - 1)
    }

    /// The images, if there are two classes or more; `empty` is the first class folder without images.
    pub(super) fn checked(
        self,
        folder: &Path,
        empty: Option<PathBuf>,
    ) -> Result<ImageSet, DataError> {
        let set = self.set;
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
}
