//! What a folder has besides its images: links, files that are left out, names that are not UTF-8.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::DataError;
use crate::sources::folder::layout::{ClassFolder, Kind as Arranged, Layout, PartFolder};
use crate::sources::folder::walk::{Root, entries, has_image_extension, is_hidden};
use crate::sources::left_out::why;
use crate::sources::{Why, format_of};

/// What a folder has besides its images. Links are not followed: a target within the folder is looked at
/// in its own place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Symbolic links, in the order of their paths.
    pub links: Vec<Link>,
    /// Files and folders that are left out, in the order of their paths.
    pub ignored: Vec<Ignored>,
    /// Names that are not UTF-8, with `�` in place of what is not.
    pub not_utf8: Vec<String>,
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The link.
    pub link: String,
    /// Its target: the file or folder at the end of all links, or the text of the link if there is none.
    pub target: String,
    /// What happens to it.
    pub fate: Fate,
}

/// What happens to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Its target is used.
    Followed,
    /// It leads out of the folder: the data set is rejected.
    Leaves,
    /// Its target does not exist: the data set is rejected.
    Broken,
    /// It leads to a folder above it and is left out.
    Loops,
}

/// A file or folder that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The file or folder.
    pub path: String,
    /// Why it is left out.
    pub why: Why,
}

/// Looks for what a folder of images has besides them; `None` if the data set at `path` is not a folder
/// of images.
///
/// # Errors
///
/// `path` is not a data set, or a folder cannot be read.
pub fn survey(path: &Path) -> Result<Option<Survey>, DataError> {
    match format_of(path)? {
        Some(_) => Ok(None),
        None => Survey::of(path).map(Some),
    }
}

impl Survey {
    /// Looks through a folder as it was understood.
    fn of(path: &Path) -> Result<Self, DataError> {
        let root = Root::new(path)?;
        let mut survey = Self::default();
        // What is rejected is looked through as well.
        let Ok(layout) = Layout::of(&root, path) else {
            survey.classes(&root, path)?;
            return Ok(survey);
        };
        for folder in &layout.through {
            for (path, kind) in survey.plain(&root, folder)? {
                if matches!(kind, Kind::File) {
                    survey.beside(&path);
                }
            }
        }
        match &layout.kind {
            Arranged::Classes => survey.classes(&root, &layout.folder)?,
            Arranged::Parts(parts) => {
                for (path, kind) in survey.plain(&root, &layout.folder)? {
                    match (kind, parts.iter().find(|part| part.path == path)) {
                        (Kind::Folder, Some(part)) => survey.part(&root, part)?,
                        (Kind::Folder, None) => survey.ignore(&path, Why::Place),
                        (Kind::File, _) => survey.beside(&path),
                    }
                }
            }
            Arranged::ClassFirst(classes) => {
                let of_path: HashMap<&Path, &ClassFolder> = classes
                    .iter()
                    .map(|class| (class.path.as_path(), class))
                    .collect();
                for (path, kind) in survey.plain(&root, &layout.folder)? {
                    match (kind, of_path.get(path.as_path())) {
                        (Kind::Folder, Some(class)) => survey.class_of_parts(&root, class)?,
                        (Kind::Folder, None) => survey.ignore(&path, Why::Place),
                        (Kind::File, _) => survey.beside(&path),
                    }
                }
            }
        }
        survey.forget_targets();
        Ok(survey)
    }

    /// Looks through the folder of a part.
    fn part(&mut self, root: &Root, part: &PartFolder) -> Result<(), DataError> {
        if part.classes != part.path {
            for (path, kind) in self.plain(root, &part.path)? {
                if matches!(kind, Kind::File) {
                    self.beside(&path);
                }
            }
        }
        self.classes(root, &part.classes)
    }

    /// Looks through the folder of a class that has a folder per part.
    fn class_of_parts(&mut self, root: &Root, class: &ClassFolder) -> Result<(), DataError> {
        for (path, kind) in self.plain(root, &class.path)? {
            let is_part = class.parts.iter().any(|(_, part)| *part == path);
            match kind {
                Kind::Folder if is_part => self.class(root, &path)?,
                Kind::Folder => self.ignore(&path, Why::Place),
                Kind::File => self.beside(&path),
            }
        }
        Ok(())
    }

    /// Removes what is next to the splits but is used through a link.
    fn forget_targets(&mut self) {
        let followed = self.links.iter().filter(|link| link.fate == Fate::Followed);
        let targets: Vec<&Path> = followed.map(|link| Path::new(&link.target)).collect();
        self.ignored.retain(|file| {
            let real = Path::new(&file.path).canonicalize();
            file.why != Why::Place
                || !real.is_ok_and(|real| targets.iter().any(|target| target.starts_with(&real)))
        });
    }

    /// Looks through a folder with one folder per class.
    fn classes(&mut self, root: &Root, folder: &Path) -> Result<(), DataError> {
        for (path, kind) in self.plain(root, folder)? {
            match kind {
                Kind::Folder => self.class(root, &path)?,
                Kind::File => self.beside(&path),
            }
        }
        Ok(())
    }

    /// Looks through the folder of a class, and the folders below it.
    fn class(&mut self, root: &Root, folder: &Path) -> Result<(), DataError> {
        for (path, kind) in self.plain(root, folder)? {
            match kind {
                Kind::Folder => self.class(root, &path)?,
                Kind::File if has_image_extension(&path) => {}
                Kind::File => self.ignore(&path, why(&path)),
            }
        }
        Ok(())
    }

    /// Notes a file next to the class folders.
    fn beside(&mut self, path: &Path) {
        let image = has_image_extension(path);
        self.ignore(path, if image { Why::Place } else { why(path) });
    }

    fn ignore(&mut self, path: &Path, why: Why) {
        let path = path.display().to_string();
        self.ignored.push(Ignored { path, why });
    }

    /// The files and folders of a folder that are neither hidden nor links, in the order of their
    /// names. Notes the others.
    fn plain(&mut self, root: &Root, folder: &Path) -> Result<Vec<(PathBuf, Kind)>, DataError> {
        let mut plain = Vec::new();
        for (path, kind) in entries(folder)? {
            let name = path.file_name().unwrap_or_default();
            if name.to_str().is_none() {
                self.not_utf8.push(path.display().to_string());
            }
            if is_hidden(&path) {
                self.ignore(&path, Why::Hidden);
            } else if kind.is_symlink() {
                self.links.push(link(root, &path, folder));
            } else {
                let kind = if kind.is_dir() {
                    Kind::Folder
                } else {
                    Kind::File
                };
                plain.push((path, kind));
            }
        }
        Ok(plain)
    }

    /// Whether the data set is rejected because of a link.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count_links(Fate::Leaves) + self.count_links(Fate::Broken) > 0
    }

    fn count_links(&self, fate: Fate) -> usize {
        let links = self.links.iter();
        links.filter(|link| link.fate == fate).count()
    }

    /// What to do about what was found, one sentence each.
    #[must_use]
    pub fn suggestions(&self) -> Vec<String> {
        let of = |why: Why| self.ignored.iter().filter(|file| file.why == why).count();
        let found = [
            (
                self.count_links(Fate::Leaves),
                "link(s) lead out of the folder and are rejected: copy their targets into the folder, or \
                 name the files in a manifest (.csv)",
            ),
            (
                self.count_links(Fate::Broken),
                "link(s) have no target: remove them or restore their targets",
            ),
            (
                self.count_links(Fate::Loops),
                "link(s) lead to a folder above them and are left out: remove them",
            ),
            (
                of(Why::Misnamed),
                "image(s) are left out because of their extension: rename them to .png, .jpg, …",
            ),
            (
                of(Why::Format),
                "image(s) are of a format that is not supported: convert them to PNG or JPEG",
            ),
            (
                of(Why::Place),
                "file(s) or folder(s) next to the folders of classes or splits are left out: move them \
                 into one if they belong to the data set",
            ),
            (
                self.not_utf8.len(),
                "name(s) are not UTF-8: rename them, or reports will show � in them",
            ),
        ];
        let found = found.into_iter().filter(|(count, _)| *count > 0);
        found
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// An entry that is not a link.
enum Kind {
    File,
    Folder,
}

/// Where a link leads, and what happens to it.
fn link(root: &Root, path: &Path, folder: &Path) -> Link {
    let text = || fs::read_link(path).unwrap_or_default();
    let (target, fate) = match root.follow(path, folder) {
        Ok(Some(target)) => (target, Fate::Followed),
        Ok(None) => (path.canonicalize().unwrap_or_else(|_| text()), Fate::Loops),
        Err(DataError::LinkLeaves { target, .. }) => (target, Fate::Leaves),
        Err(_) => (text(), Fate::Broken),
    };
    Link {
        link: path.display().to_string(),
        target: target.display().to_string(),
        fate,
    }
}
