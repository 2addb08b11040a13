//! Reading and writing a file at given offsets, from several threads at the same time.

use std::fs::File;

/// A file that several threads read and write at the same time, each at its own offset.
#[derive(Debug)]
pub(crate) struct PositionedFile {
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
}

#[cfg(unix)]
impl PositionedFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file }
    }

    /// Fills `bytes` with the bytes of the file from `start` on.
    pub(crate) fn read(&self, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, start)
    }

    /// Writes `bytes` to the file from `start` on.
    pub(crate) fn write(&self, bytes: &[u8], start: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, start)
    }
}

#[cfg(not(unix))]
impl PositionedFile {
    pub(crate) fn new(file: File) -> Self {
        let file = std::sync::Mutex::new(file);
        Self { file }
    }

    /// Fills `bytes` with the bytes of the file from `start` on.
    pub(crate) fn read(&self, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
        std::io::Read::read_exact(&mut *self.at(start)?, bytes)
    }

    /// Writes `bytes` to the file from `start` on.
    pub(crate) fn write(&self, bytes: &[u8], start: u64) -> std::io::Result<()> {
        std::io::Write::write_all(&mut *self.at(start)?, bytes)
    }

    /// Locks the file and moves to `start`.
    fn at(&self, start: u64) -> std::io::Result<std::sync::MutexGuard<'_, File>> {
        let file = self.file.lock();
        let mut file = file.unwrap_or_else(std::sync::PoisonError::into_inner);
        std::io::Seek::seek(&mut *file, std::io::SeekFrom::Start(start))?;
        Ok(file)
    }
}
