//! Decoded images in a file of the cache folder.
//!
//! The file begins with a magic number and the number of images. Then follow an entry per image (the
//! offset of its bytes, height and width, and the checksum of its file, all 0 if the image cannot be
//! used) and the bytes. The name of
//! the file is a hash of the preprocessing and of the path, size and modification time of each image.
//!
//! The file is read, not mapped into memory: the system caches frequently used pages in either case,
//! but if another process truncates the file this is an error instead of a signal, and pages of the
//! file do not count as memory of the run.

use std::fs;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::limit;
use super::pipeline::Pipeline;
use crate::error::DataError;
use crate::images::raster::Raster;
use crate::images::{Preprocess, StoredSize};
use crate::positioned::PositionedFile;
use crate::sources::ImageSet;

const MAGIC: &[u8; 16] = b"finetune images2";
/// Beginning of the names of files that are being written.
const UNFINISHED: &str = ".images-";
/// Bytes per entry.
const ENTRY: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Entry {
    start: u64,
    height: u32,
    width: u32,
    /// The checksum of the image's file, if it has one.
    checksum: Option<u32>,
}

impl Entry {
    fn bytes(&self) -> u64 {
        // A damaged file may say anything.
        let pixels = u64::from(self.height) * u64::from(self.width);
        pixels.saturating_mul(3)
    }
}

/// The cache file of a set of images.
pub(super) fn path(
    set: &ImageSet,
    preprocess: &Preprocess,
    size: StoredSize,
    pipeline: &Pipeline,
) -> Result<PathBuf, DataError> {
    let mut hasher = Sha256::new();
    hasher.update(MAGIC);
    hasher.update(format!("{preprocess:?} {size:?}"));
    for sample in &set.samples {
        sample.source.identify(&mut hasher)?;
    }
    let name = finetune_files::hexadecimal(&hasher.finalize()[..16]);
    Ok(pipeline.folder.join(name).with_extension(limit::EXTENSION))
}

/// A complete cache file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    bytes: PositionedFile,
    /// Entries of the usable images.
    entries: Vec<Entry>,
}

impl File {
    /// Opens a file of `count` images and returns which of them are usable; `None` if the file does not
    /// exist or is not complete.
    pub(super) fn open(path: &Path, count: usize) -> Result<Option<(Self, Vec<bool>)>, DataError> {
        let Ok(mut file) = fs::File::open(path) else {
            return Ok(None);
        };
        let failed = |source| error(path, source);
        let length = file.metadata().map_err(failed)?.len();
        let head = MAGIC.len() + 8 + count * ENTRY;
        if length < head as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; head];
        file.read_exact(&mut bytes).map_err(failed)?;
        let (magic, rest) = bytes.split_at(MAGIC.len());
        let (images, entries) = rest.split_at(8);
        if magic != MAGIC || images != (count as u64).to_le_bytes() {
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
            bytes: PositionedFile::new(file),
            entries: entries
                .into_iter()
                .filter(|entry| *entry != Entry::default())
                .collect(),
        };
        Ok(Some((file, used)))
    }

    /// The checksums of the files of the usable images.
    pub(super) fn checksums(&self) -> Vec<Option<u32>> {
        self.entries.iter().map(|entry| entry.checksum).collect()
    }

    /// Reads the usable image with this index.
    pub(super) fn read(&self, index: usize) -> Result<Raster, DataError> {
        let Entry {
            start,
            height,
            width,
            ..
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

/// An entry from its little-endian bytes.
fn entry(bytes: &[u8; ENTRY]) -> Entry {
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    Entry {
        start: u64::from(word(0)) | u64::from(word(4)) << 32,
        height: word(8),
        width: word(12),
        checksum: (word(16) == 1).then(|| word(20)),
    }
}

/// Removes unfinished files of killed runs that are older than a day. A file that cannot be removed is
/// no error.
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

/// A file that is being written. It has a temporary name until it is complete.
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    /// Number of images of the set, usable or not.
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
        let end = (MAGIC.len() + 8 + count * ENTRY) as u64;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            count,
            written: Vec::new(),
            end,
        })
    }

    /// Appends the next usable image.
    pub(super) fn push(&mut self, image: &Raster, checksum: Option<u32>) -> Result<(), DataError> {
        let failed = |source| error(&self.path, source);
        let too_large = |_| failed(std::io::Error::other("a side of an image is too long"));
        let entry = Entry {
            start: self.end,
            height: u32::try_from(image.height).map_err(too_large)?,
            width: u32::try_from(image.width).map_err(too_large)?,
            checksum,
        };
        self.file.write_all(&image.pixels).map_err(failed)?;
        self.end += entry.bytes();
        self.written.push(entry);
        Ok(())
    }

    /// Writes which images of the set were appended, and gives the file its name.
    pub(super) fn finish(mut self, used: &[bool]) -> Result<File, DataError> {
        let path = self.path.clone();
        let failed = |source| error(&path, source);
        let mut head = MAGIC.to_vec();
        head.extend((self.count as u64).to_le_bytes());
        let mut written = self.written.iter();
        for used in used {
            let entry = if *used { written.next() } else { None };
            let Entry {
                start,
                height,
                width,
                checksum,
            } = entry.copied().unwrap_or_default();
            head.extend(start.to_le_bytes());
            head.extend(height.to_le_bytes());
            head.extend(width.to_le_bytes());
            head.extend(u32::from(checksum.is_some()).to_le_bytes());
            head.extend(checksum.unwrap_or(0).to_le_bytes());
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
            bytes: PositionedFile::new(file),
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
