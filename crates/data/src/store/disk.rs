//! Decoded images in a file of the cache folder.
//!
//! The file begins with a mark and the number of images, then an entry for each (where its bytes
//! begin, height, width; nothing of all where the image cannot be used), then the bytes. Its name is
//! a hash of what it was made from: each image's path, size and time of change, and the
//! preprocessing. It is read where it is needed and not mapped into memory: the system keeps what
//! is used often either way, a file that is cut short by others is an error instead of a signal, and
//! the memory of a run stays its own.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::limit;
use crate::error::DataError;
use crate::images::prepare::{Keep, Preprocess, Raster};
use crate::positioned::Places;
use crate::sources::set::ImageSet;
use crate::store::pipeline::Pipeline;

const MARK: &[u8; 16] = b"finetune images1";
/// What the name of a file that is not whole begins with.
const UNFINISHED: &str = ".images-";
/// Bytes of an entry.
const ENTRY: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Entry {
    start: u64,
    height: u32,
    width: u32,
}

impl Entry {
    fn bytes(&self) -> u64 {
        u64::from(self.height) * u64::from(self.width) * 3
    }
}

/// The file that a set's images are kept in.
pub(super) fn path(
    set: &ImageSet,
    preprocess: &Preprocess,
    keep: Keep,
    pipeline: &Pipeline,
) -> Result<PathBuf, DataError> {
    let mut hasher = Sha256::new();
    hasher.update(MARK);
    hasher.update(format!("{preprocess:?} {keep:?}"));
    for sample in &set.samples {
        sample.source.identify(&mut hasher)?;
    }
    let mut name = String::new();
    for byte in &hasher.finalize()[..16] {
        let _ = write!(name, "{byte:02x}"); // writing to a string cannot fail
    }
    Ok(pipeline.folder.join(name).with_extension(limit::ENDING))
}

/// A whole file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    bytes: Places,
    /// Entries of the images that can be used.
    entries: Vec<Entry>,
}

impl File {
    /// Opens a file of `count` images and says which of them can be used; `None` where it is not
    /// there or not whole.
    pub(super) fn open(path: &Path, count: usize) -> Result<Option<(Self, Vec<bool>)>, DataError> {
        let Ok(mut file) = fs::File::open(path) else {
            return Ok(None);
        };
        let failed = |source| error(path, source);
        let length = file.metadata().map_err(failed)?.len();
        let head = MARK.len() + 8 + count * ENTRY;
        if length < head as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; head];
        file.read_exact(&mut bytes).map_err(failed)?;
        let (mark, rest) = bytes.split_at(MARK.len());
        let (images, entries) = rest.split_at(8);
        if mark != MARK || images != (count as u64).to_le_bytes() {
            return Ok(None);
        }
        let entries: Vec<Entry> = entries.as_chunks::<ENTRY>().0.iter().map(entry).collect();
        let ends = entries
            .iter()
            .map(|entry| entry.start.saturating_add(entry.bytes()));
        if ends.max().unwrap_or(0).max(head as u64) != length {
            return Ok(None);
        }
        let used = entries
            .iter()
            .map(|entry| *entry != Entry::default())
            .collect();
        limit::mark_used(&file);
        let path = path.to_owned();
        let file = Self {
            path,
            bytes: Places::new(file),
            entries: entries
                .into_iter()
                .filter(|entry| *entry != Entry::default())
                .collect(),
        };
        Ok(Some((file, used)))
    }

    pub(super) fn read(&self, index: usize) -> Result<Raster, DataError> {
        let Entry {
            start,
            height,
            width,
        } = self.entries[index];
        let (height, width) = (height as usize, width as usize);
        let mut pixels = vec![0; height * width * 3];
        self.bytes
            .read(&mut pixels, start)
            .map_err(|source| error(&self.path, source))?;
        Ok(Raster {
            height,
            width,
            pixels,
        })
    }
}

fn entry(bytes: &[u8; ENTRY]) -> Entry {
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    Entry {
        start: u64::from(word(0)) | u64::from(word(4)) << 32,
        height: word(8),
        width: word(12),
    }
}

/// What runs that were killed left behind, a day or more ago. Nothing depends on its being gone.
fn remove_leftovers(folder: &Path) {
    const DAY: Duration = Duration::from_hours(24);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let age = entry.metadata().and_then(|data| data.modified());
        let is_old = age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > DAY));
        if is_old && name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A file that is being written, under a temporary name until it is whole.
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    /// Images that it will speak of.
    count: usize,
    written: Vec<Entry>,
    end: u64,
}

impl Writer {
    pub(super) fn new(path: &Path, count: usize) -> Result<Self, DataError> {
        let failed = |source| error(path, source);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        remove_leftovers(folder);
        let temporary = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder);
        let mut file = BufWriter::new(temporary.map_err(failed)?);
        let end = (MARK.len() + 8 + count * ENTRY) as u64;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            count,
            written: Vec::new(),
            end,
        })
    }

    /// Adds the next image that can be used.
    pub(super) fn push(&mut self, image: &Raster) -> Result<(), DataError> {
        let failed = |source| error(&self.path, source);
        let too_large = |_| failed(std::io::Error::other("a side of an image is too long"));
        let entry = Entry {
            start: self.end,
            height: u32::try_from(image.height).map_err(too_large)?,
            width: u32::try_from(image.width).map_err(too_large)?,
        };
        self.file.write_all(&image.pixels).map_err(failed)?;
        self.end += entry.bytes();
        self.written.push(entry);
        Ok(())
    }

    /// Writes which images those were, and gives the file its name.
    pub(super) fn finish(mut self, used: &[bool]) -> Result<File, DataError> {
        let path = self.path.clone();
        let failed = |source| error(&path, source);
        let mut head = MARK.to_vec();
        head.extend((self.count as u64).to_le_bytes());
        let mut written = self.written.iter();
        for used in used {
            let entry = if *used { written.next() } else { None };
            let Entry {
                start,
                height,
                width,
            } = entry.copied().unwrap_or_default();
            head.extend(start.to_le_bytes());
            head.extend(height.to_le_bytes());
            head.extend(width.to_le_bytes());
        }
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.file.write_all(&head).map_err(failed)?;
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        limit::mark_used(file.as_file());
        let file = file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(File {
            bytes: Places::new(file),
            path,
            entries: self.written,
        })
    }
}

fn error(path: &Path, source: std::io::Error) -> DataError {
    DataError::Cache {
        path: path.to_owned(),
        source,
    }
}
