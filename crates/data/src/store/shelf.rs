//! Bytes that are put away one after the other and read at places: in memory, or in a file.
//!
//! The file is one of the cache folder without a name, so that nothing is left of it however the
//! process ends. Like the decoded images' it is read where it is needed and not mapped into memory.

use std::borrow::Cow;
use std::fs::{File, create_dir_all};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::positioned::Places;

/// Bytes that are put away one after the other and read at places.
#[derive(Debug)]
pub struct Shelf {
    kept: Kept,
    /// Bytes that were put away.
    length: u64,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    File { folder: PathBuf, bytes: Places },
}

impl Shelf {
    /// In memory, with room for so many bytes.
    #[must_use]
    pub fn in_memory(bytes: usize) -> Self {
        Self {
            kept: Kept::Memory(Vec::with_capacity(bytes)),
            length: 0,
        }
    }

    /// In a file of a folder, which is made where it is not there.
    pub(crate) fn in_file(folder: &Path) -> Result<Self, DataError> {
        let file = create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        match file {
            Ok(file) => Ok(Self::of(folder, file)),
            Err(source) => Err(failed(folder, source)),
        }
    }

    fn of(folder: &Path, file: File) -> Self {
        let (folder, bytes) = (folder.to_owned(), Places::new(file));
        Self {
            kept: Kept::File { folder, bytes },
            length: 0,
        }
    }

    /// Bytes that were put away.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing was put away.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether they are in a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kept, Kept::File { .. })
    }

    /// Puts bytes behind those that are there.
    ///
    /// # Errors
    ///
    /// [`DataError::Shelf`] where the file cannot be written, on a full disk for example; what was
    /// put away before can still be read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        match &mut self.kept {
            Kept::Memory(kept) => kept.extend_from_slice(bytes),
            Kept::File {
                folder,
                bytes: file,
            } => file
                .write(bytes, self.length)
                .map_err(|source| failed(folder, source))?,
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// So many bytes from the `start`-th on.
    ///
    /// # Errors
    ///
    /// [`DataError::Shelf`] where there are not so many, or the file cannot be read.
    pub fn read(&self, start: u64, length: usize) -> Result<Cow<'_, [u8]>, DataError> {
        match &self.kept {
            Kept::Memory(kept) => {
                let from = usize::try_from(start).ok();
                let found = from.and_then(|start| kept.get(start..start.checked_add(length)?));
                let missing = || failed(Path::new("memory"), ErrorKind::UnexpectedEof.into());
                found.map(Cow::Borrowed).ok_or_else(missing)
            }
            Kept::File {
                folder,
                bytes: file,
            } => {
                let mut bytes = vec![0; length];
                file.read(&mut bytes, start)
                    .map_err(|source| failed(folder, source))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The same in memory, with room for so many bytes.
    ///
    /// # Errors
    ///
    /// [`DataError::Shelf`] where the file cannot be read.
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
    DataError::Shelf { folder, source }
}

/// Bytes that are free on the disk of a folder, or of the nearest one above that is there; as many as
/// can be where the system does not tell.
pub(crate) fn room(folder: &Path) -> u64 {
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
    fn bytes_are_read_at_places_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("not there yet");
        let mut file = Shelf::in_file(&below).unwrap();
        let mut memory = Shelf::in_memory(0);
        assert!(file.is_file() && !memory.is_file());
        for shelf in [&mut file, &mut memory] {
            shelf.push(b"what was").unwrap();
            shelf.push(b" put away").unwrap();
            assert_eq!(shelf.len(), 17);
            assert_eq!(*shelf.read(5, 7).unwrap(), *b"was put");
            // Nothing behind the end, and nothing half.
            for (start, length) in [(17, 1), (10, 8), (1 << 40, 1)] {
                let outcome = shelf.read(start, length);
                assert!(matches!(outcome, Err(DataError::Shelf { .. })), "{start}");
            }
        }
        // The file has no name.
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
        let mut moved = file.into_memory(20).unwrap();
        assert!(!moved.is_file());
        moved.push(b"!").unwrap();
        assert_eq!(*moved.read(0, 18).unwrap(), *b"what was put away!");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Shelf::in_file(&file.path().join("below")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&*file.path().to_string_lossy()), "{text}");
        // Its disk is that of the nearest folder above.
        assert!(room(&file.path().join("below")) < u64::MAX);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_what_was_there_stays() {
        let full = File::options().read(true).write(true).open("/dev/full");
        let mut shelf = Shelf::of(Path::new("there"), full.unwrap());
        let Err(DataError::Shelf { source, .. }) = shelf.push(b"bytes") else {
            panic!("a full disk took something")
        };
        assert_eq!(source.kind(), ErrorKind::StorageFull);
        assert!(shelf.is_empty());
    }
}
