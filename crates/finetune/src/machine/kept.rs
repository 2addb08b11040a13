//! What is kept on this machine to be used again: what it is, how large it is, and how it is removed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use finetune_data::store::cached_files;
use serde::Serialize;

use super::cache::{cache_folder, hub_folder};
use crate::error::Error;

/// The age from which a file that is still being written is taken for one that a killed run left behind.
const ABANDONED: Duration = Duration::from_hours(1);

/// A kind of files that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Decoded images. They are decoded again when they are needed.
    Images,
    /// Weights that the program made itself. They are made again when they are needed.
    Made,
    /// Weights that somebody put into the cache folder.
    Placed,
    /// Models in the cache of the Hugging Face Hub, which other programs share.
    Hub,
}

impl Part {
    /// All parts, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Images, Self::Made, Self::Placed, Self::Hub];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Made => "made",
            Self::Placed => "placed",
            Self::Hub => "hub",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Images => "decoded images, decoded again when they are needed",
            Self::Made => "weights made by this program, made again when they are needed",
            Self::Placed => "weights that were put there by hand",
            Self::Hub => "models of the Hugging Face Hub, which other programs use as well",
        }
    }

    /// Whether what is removed comes back by itself, and nobody else uses it.
    #[must_use]
    pub fn comes_back(self) -> bool {
        matches!(self, Self::Images | Self::Made)
    }

    /// The folder of its files.
    ///
    /// # Errors
    ///
    /// The system names no cache folder.
    pub fn folder(self) -> Result<PathBuf, Error> {
        Ok(match self {
            Self::Images => cache_folder()?.join("images"),
            Self::Made => cache_folder()?,
            Self::Placed => cache_folder()?.join("weights"),
            Self::Hub => hub_folder().ok_or(Error::NoCacheFolder)?,
        })
    }
}

/// A file or folder that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// What it is.
    pub part: Part,
    /// Its name within the part.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Everything that is kept, by parts.
///
/// # Errors
///
/// The system names no cache folder.
pub fn kept() -> Result<Vec<Kept>, Error> {
    let mut all = Vec::new();
    for part in Part::ALL {
        let folder = part.folder()?;
        all.extend(match part {
            Part::Images => images(&folder),
            Part::Made => made(&folder),
            Part::Placed => placed(&folder),
            Part::Hub => models(&folder),
        });
    }
    Ok(all)
}

impl Kept {
    /// Removes it. Returns whether it is gone: what a process uses stays.
    ///
    /// # Errors
    ///
    /// The system does not allow it.
    pub fn remove(&self) -> Result<bool, Error> {
        let failed = Error::io("remove", &self.path);
        if self.part == Part::Images {
            let mut files = cached_files(self.path.parent().unwrap_or(&self.path)).into_iter();
            if let Some(file) = files.find(|file| file.path == self.path) {
                return file.remove().map_err(failed);
            }
        }
        let removed = if self.path.is_dir() {
            std::fs::remove_dir_all(&self.path)
        } else {
            std::fs::remove_file(&self.path)
        };
        removed.map_err(failed)?;
        if self.part == Part::Placed {
            // The folders of the owner and of all owners, if they are empty now.
            for folder in self.path.ancestors().skip(1).take(2) {
                if std::fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(true)
    }

    fn of(part: Part, root: &Path, path: PathBuf, bytes: u64) -> Self {
        let name = path.strip_prefix(root).unwrap_or(&path);
        Self {
            part,
            name: name.display().to_string(),
            bytes,
            path,
        }
    }
}

/// Decoded images, and what killed runs left behind of them.
fn images(folder: &Path) -> Vec<Kept> {
    let complete = cached_files(folder).into_iter();
    let complete = complete.map(|file| Kept::of(Part::Images, folder, file.path, file.bytes));
    let mut all: Vec<Kept> = complete.collect();
    for (path, data) in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let age = data
            .modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if data.is_file() && name.starts_with(".images-") && age.is_some_and(|age| age > ABANDONED)
        {
            all.push(Kept::of(Part::Images, folder, path, data.len()));
        }
    }
    all
}

/// Weights files in the cache folder itself.
fn made(folder: &Path) -> Vec<Kept> {
    let mut all = Vec::new();
    for (path, data) in entries(folder) {
        if data.is_file() && path.extension().is_some_and(|it| it == "safetensors") {
            all.push(Kept::of(Part::Made, folder, path, data.len()));
        }
    }
    all
}

/// Weights in `OWNER/NAME`.
fn placed(folder: &Path) -> Vec<Kept> {
    let mut all = Vec::new();
    for (owner, _) in entries(folder) {
        for (path, _) in entries(&owner) {
            let bytes = size(&path);
            all.push(Kept::of(Part::Placed, folder, path, bytes));
        }
    }
    all
}

/// Models in the Hub's cache, whose folders are `models--OWNER--NAME`.
fn models(folder: &Path) -> Vec<Kept> {
    let mut all = Vec::new();
    for (path, data) in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(model) = name.strip_prefix("models--")
            && data.is_dir()
        {
            let name = model.replace("--", "/");
            let bytes = size(&path);
            all.push(Kept {
                name,
                ..Kept::of(Part::Hub, folder, path, bytes)
            });
        }
    }
    all
}

/// The entries of a folder, by name; links are not followed. None if it cannot be read.
fn entries(folder: &Path) -> Vec<(PathBuf, std::fs::Metadata)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}

/// The size of a file, or of all files in a folder. The Hub's cache has each file once and links to it,
/// which count nothing.
fn size(path: &Path) -> u64 {
    let Ok(data) = path.symlink_metadata() else {
        return 0;
    };
    if data.is_dir() {
        let entries = entries(path).into_iter();
        return entries.map(|(path, _)| size(&path)).sum();
    }
    if data.is_file() { data.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, bytes: usize) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![0; bytes]).unwrap();
    }

    #[test]
    fn each_part_lists_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("images/a.images"), 10);
        write(&at("images/.images-x"), 7);
        write(&at("images/notes.txt"), 5);
        let found = images(&at("images"));
        // Another process may still be writing the unfinished file.
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].bytes), ("a.images", 10));
        let old = std::fs::File::options()
            .write(true)
            .open(at("images/.images-x"))
            .unwrap();
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        old.set_modified(long_ago).unwrap();
        assert_eq!(images(&at("images")).len(), 2);

        write(&at("chapter-signs-v1.safetensors"), 20);
        write(&at("other"), 1);
        let found = made(folder.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes, 20);

        write(&at("weights/timm/resnet18/model.safetensors"), 30);
        write(&at("weights/timm/resnet18/config.json"), 2);
        let found = placed(&at("weights"));
        assert_eq!(
            (found[0].name.as_str(), found[0].bytes),
            ("timm/resnet18", 32)
        );
        assert!(found[0].remove().unwrap());
        assert!(!at("weights").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_the_hub_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("models--timm--resnet18.a1_in1k");
        write(&model.join("blobs/abc"), 40);
        write(&model.join("refs/main"), 4);
        let snapshot = model.join("snapshots/1");
        std::fs::create_dir_all(&snapshot).unwrap();
        let link = snapshot.join("model.safetensors");
        std::os::unix::fs::symlink(model.join("blobs/abc"), &link).unwrap();
        write(&folder.path().join("datasets--a--b/blobs/x"), 9);
        let found = models(folder.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "timm/resnet18.a1_in1k");
        assert_eq!(found[0].bytes, 44);
        assert!(found[0].remove().unwrap());
        assert!(!model.exists());
    }

    #[test]
    fn decoded_images_that_a_process_uses_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.images");
        write(&path, 3);
        let used = std::fs::File::open(&path).unwrap();
        used.try_lock_shared().unwrap();
        let found = images(folder.path());
        assert!(!found[0].remove().unwrap() && path.exists());
        drop(used);
        assert!(found[0].remove().unwrap() && !path.exists());
    }
}
