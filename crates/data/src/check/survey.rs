//! What lies in a folder beside its images: links, files that are left out, names that are no text.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::DataError;
use crate::sources::folder::{Root, has_image_ending, is_hidden, listed, parts};

/// What lies in a folder beside its images. Links are not followed: what they lead to within the
/// folder is looked at where it lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Symbolic links, in the order of their paths.
    pub links: Vec<Link>,
    /// Files and folders that no image is taken from, in that order.
    pub ignored: Vec<Ignored>,
    /// Names that are not UTF-8, with `�` where they are not.
    pub not_utf8: Vec<String>,
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The link.
    pub link: String,
    /// Where it leads: the file or folder behind all links, or what it says where there is none.
    pub target: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It stands for what it leads to.
    Followed,
    /// It leads out of the folder: the data set is refused.
    Leaves,
    /// It leads to nothing: the data set is refused.
    Broken,
    /// It leads to a folder above it, and is left out.
    Loops,
}

/// A file or folder that no image is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The file or folder.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// Why no image is taken from a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Its name begins with a dot.
    Hidden,
    /// Its ending is no image's.
    Ending,
    /// Its ending is no image's, though its content is an image that could be read.
    Misnamed,
    /// Its ending is that of a kind of image that is not read here.
    Format,
    /// An image beside the class folders, or a folder beside `train` and `test`.
    Place,
}

impl Why {
    /// The reason, of several files.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Ending => "another ending than an image's",
            Self::Misnamed => "images by their content, but not by their ending",
            Self::Format => "images of a format that is not read here",
            Self::Place => "beside the classes or parts, not in one",
        }
    }
}

/// Endings of images that are not read here.
const OTHERS: [&str; 14] = [
    "heic", "heif", "avif", "jxl", "jp2", "svg", "psd", "dng", "cr2", "cr3", "nef", "arw", "raw",
    "pdf",
];

impl Survey {
    /// Looks through a folder of classes, or of parts with classes.
    pub(crate) fn of(path: &Path) -> Result<Self, DataError> {
        let root = Root::new(path)?;
        let mut survey = Self::default();
        let Some(parts) = parts(path) else {
            survey.classes(&root, path)?;
            return Ok(survey);
        };
        for (path, kind) in survey.entries(&root, path)? {
            match kind {
                Kind::Folder if parts.contains(&path) => survey.classes(&root, &path)?,
                Kind::Folder => survey.ignore(&path, Why::Place),
                Kind::File => survey.beside(&path),
            }
        }
        survey.forget_what_links_lead_to();
        Ok(survey)
    }

    /// What lies beside the parts and is taken through a link counts.
    fn forget_what_links_lead_to(&mut self) {
        let followed = self.links.iter().filter(|link| link.fate == Fate::Followed);
        let targets: Vec<&Path> = followed.map(|link| Path::new(&link.target)).collect();
        self.ignored.retain(|file| {
            let real = Path::new(&file.path).canonicalize();
            file.why != Why::Place
                || !real.is_ok_and(|real| targets.iter().any(|target| target.starts_with(&real)))
        });
    }

    /// A folder of class folders.
    fn classes(&mut self, root: &Root, folder: &Path) -> Result<(), DataError> {
        for (path, kind) in self.entries(root, folder)? {
            match kind {
                Kind::Folder => self.class(root, &path)?,
                Kind::File => self.beside(&path),
            }
        }
        Ok(())
    }

    /// A folder whose images are of one class, and what is below it.
    fn class(&mut self, root: &Root, folder: &Path) -> Result<(), DataError> {
        for (path, kind) in self.entries(root, folder)? {
            match kind {
                Kind::Folder => self.class(root, &path)?,
                Kind::File if has_image_ending(&path) => {}
                Kind::File => self.ignore(&path, why(&path)),
            }
        }
        Ok(())
    }

    /// A file beside the class folders.
    fn beside(&mut self, path: &Path) {
        let image = has_image_ending(path);
        self.ignore(path, if image { Why::Place } else { why(path) });
    }

    fn ignore(&mut self, path: &Path, why: Why) {
        let path = path.display().to_string();
        self.ignored.push(Ignored { path, why });
    }

    /// The files and folders of a folder that are neither hidden nor links, in the order of their
    /// paths; the others are noted.
    fn entries(&mut self, root: &Root, folder: &Path) -> Result<Vec<(PathBuf, Kind)>, DataError> {
        let mut entries = Vec::new();
        for (path, kind) in listed(folder)? {
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
                entries.push((path, kind));
            }
        }
        Ok(entries)
    }

    /// Whether the data set is refused for a link of it.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count_links(Fate::Leaves) + self.count_links(Fate::Broken) > 0
    }

    fn count_links(&self, fate: Fate) -> usize {
        let links = self.links.iter();
        links.filter(|link| link.fate == fate).count()
    }

    /// What to do about it, a sentence each.
    #[must_use]
    pub fn suggestions(&self) -> Vec<String> {
        let of = |why: Why| self.ignored.iter().filter(|file| file.why == why).count();
        let found = [
            (
                self.count_links(Fate::Leaves),
                "link(s) lead out of the folder and are refused: copy what they lead to, or name the \
                 files in a manifest (.csv)",
            ),
            (
                self.count_links(Fate::Broken),
                "link(s) lead to nothing: remove them, or put back what they led to",
            ),
            (
                self.count_links(Fate::Loops),
                "link(s) lead to a folder above them and are left out: remove them",
            ),
            (
                of(Why::Misnamed),
                "file(s) are left out for their ending, though they are images: rename them to .png, \
                 .jpg, …",
            ),
            (
                of(Why::Format),
                "image(s) are of a format that is not read: convert them to PNG or JPEG",
            ),
            (
                of(Why::Place),
                "file(s) or folder(s) lie beside the classes or parts and are left out: move them into \
                 one, if they should count",
            ),
            (
                self.not_utf8.len(),
                "name(s) are not UTF-8: rename them, or reports show � in them",
            ),
        ];
        let found = found.into_iter().filter(|(count, _)| *count > 0);
        found
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// What is no link.
enum Kind {
    File,
    Folder,
}

fn link(root: &Root, path: &Path, folder: &Path) -> Link {
    let says = || fs::read_link(path).unwrap_or_default();
    let (target, fate) = match root.follow(path, folder) {
        Ok(Some(target)) => (target, Fate::Followed),
        Ok(None) => (path.canonicalize().unwrap_or_else(|_| says()), Fate::Loops),
        Err(DataError::LinkLeaves { target, .. }) => (target, Fate::Leaves),
        Err(_) => (says(), Fate::Broken),
    };
    Link {
        link: path.display().to_string(),
        target: target.display().to_string(),
        fate,
    }
}

/// Why a file without an image's ending is left out.
fn why(path: &Path) -> Why {
    let ending = path.extension().unwrap_or_default();
    if OTHERS
        .iter()
        .any(|other| ending.eq_ignore_ascii_case(other))
    {
        return Why::Format;
    }
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(32).read_to_end(&mut head));
    let known =
        read.is_ok() && image::guess_format(&head).is_ok_and(|format| format.reading_enabled());
    if known { Why::Misnamed } else { Why::Ending }
}
