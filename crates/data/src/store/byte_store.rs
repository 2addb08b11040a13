//! Bytes that are appended and then read at any offset: in memory, or in a file.
//!
//! The file is in the cache folder and has no name, so that it disappears with the process however
//! that ends. Like the file of decoded images it is not mapped into memory.

use std::borrow::Cow;
use std::fs::{File, create_dir_all};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::positioned::PositionedFile;

/// Bytes that are appended and then read at any offset.
#[derive(Debug)]
pub struct ByteStore {
    place: Place,
    length: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File {
        folder: PathBuf,
        file: PositionedFile,
    },
}

impl ByteStore {
    /// An empty store in memory, with room for `bytes` bytes.
    #[must_use]
    pub fn in_memory(bytes: usize) -> Self {
        Self {
            place: Place::Memory(Vec::with_capacity(bytes)),
            length: 0,
        }
    }

    /// An empty store in a file of a folder, which is created if it does not exist.
    pub(crate) fn in_file(folder: &Path) -> Result<Self, DataError> {
        let file = create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        match file {
            Ok(file) => Ok(Self::of(folder, file)),
            Err(source) => Err(failed(folder, source)),
        }
    }

    fn of(folder: &Path, file: File) -> Self {
        let (folder, file) = (folder.to_owned(), PositionedFile::new(file));
        Self {
            place: Place::File { folder, file },
            length: 0,
        }
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether the bytes are in a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::File { .. })
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`DataError::ByteStore`] if the file cannot be written, for example because the disk is full.
    /// The bytes that were appended before can still be read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        match &mut self.place {
            Place::Memory(all) => all.extend_from_slice(bytes),
            Place::File { folder, file } => file
                .write(bytes, self.length)
                .map_err(|source| failed(folder, source))?,
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads `length` bytes from offset `start` on.
    ///
    /// # Errors
    ///
    /// [`DataError::ByteStore`] if there are fewer bytes, or the file cannot be read.
    pub fn read(&self, start: u64, length: usize) -> Result<Cow<'_, [u8]>, DataError> {
        match &self.place {
            Place::Memory(all) => {
                let from = usize::try_from(start).ok();
                let found = from.and_then(|start| all.get(start..start.checked_add(length)?));
                let missing = || failed(Path::new("memory"), ErrorKind::UnexpectedEof.into());
                found.map(Cow::Borrowed).ok_or_else(missing)
            }
            Place::File { folder, file } => {
                let mut bytes = vec![0; length];
                file.read(&mut bytes, start)
                    .map_err(|source| failed(folder, source))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Moves the bytes to memory, with room for `bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`DataError::ByteStore`] if the file cannot be read.
    pub fn into_memory(self, bytes: usize) -> Result<Self, DataError> {
        if !self.is_file() {
            return Ok(self);
        }
        let mut moved = Self::in_memory(bytes);
        let mut start = 0;
        while start < self.length {
            const AT_ONCE: u64 = 1 << 20;
            let length = AT_ONCE.min(self.length - start);
            #[allow(clippy::cast_possible_truncation)] // a mebibyte or less
            moved.push(&self.read(start, length as usize)?)?;
            start += length;
        }
        Ok(moved)
    }
}

fn failed(folder: &Path, source: Error) -> DataError {
    let folder = folder.to_owned();
    DataError::ByteStore { folder, source }
}

/// Free bytes on the disk of a folder, or of the nearest folder above it that exists; `u64::MAX` if the
/// system does not say.
#[must_use]
pub fn free_disk_space(folder: &Path) -> u64 {
    #[cfg(unix)]
    {
        let mut above = folder.ancestors();
        let found = above.find_map(|folder| rustix::fs::statvfs(folder).ok());
        found.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_at_any_offset_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("new");
        let mut file = ByteStore::in_file(&below).unwrap();
        let mut memory = ByteStore::in_memory(0);
        assert!(file.is_file() && !memory.is_file());
        for store in [&mut file, &mut memory] {
            store.push(b"what was").unwrap();
            store.push(b" appended").unwrap();
            assert_eq!(store.len(), 17);
            assert_eq!(*store.read(5, 7).unwrap(), *b"was app");
            // These reads begin or end after the last byte.
            for (start, length) in [(17, 1), (10, 8), (1 << 40, 1)] {
                let outcome = store.read(start, length);
                assert!(
                    matches!(outcome, Err(DataError::ByteStore { .. })),
                    "{start}"
                );
            }
        }
        // The file has no name in its folder.
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
        let mut moved = file.into_memory(20).unwrap();
        assert!(!moved.is_file());
        moved.push(b"!").unwrap();
        assert_eq!(*moved.read(0, 18).unwrap(), *b"what was appended!");
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = ByteStore::in_file(&file.path().join("below")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&*file.path().to_string_lossy()), "{text}");
        // The free space is that of the nearest ancestor that exists.
        assert!(free_disk_space(&file.path().join("below")) < u64::MAX);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_nothing_is_appended() {
        let full = File::options().read(true).write(true).open("/dev/full");
        let mut store = ByteStore::of(Path::new("there"), full.unwrap());
        let Err(DataError::ByteStore { source, .. }) = store.push(b"bytes") else {
            panic!("the disk is full, but the bytes were written")
        };
        assert_eq!(source.kind(), ErrorKind::StorageFull);
        assert!(store.is_empty());
    }
}
