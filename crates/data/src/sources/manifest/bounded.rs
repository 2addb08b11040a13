//! Reading a manifest row by row without holding more of it than a row.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::row::error;
use crate::error::DataError;

/// Most bytes of a row: a path and a label are short, and a file without line ends is no manifest.
const LONGEST_ROW: u64 = 1 << 20;

/// A file of rows that fails at a row that is too long.
#[derive(Debug)]
pub(super) struct Bounded {
    file: BufReader<std::fs::File>,
    left: Row,
}

/// How many bytes of the current row may still be read.
#[derive(Debug, Clone)]
pub(super) struct Row(Arc<AtomicU64>);

impl Row {
    /// Another row begins.
    pub(super) fn next(&self) {
        self.0.store(LONGEST_ROW, Ordering::Relaxed);
    }
}

impl Bounded {
    pub(super) fn open(manifest: &Path) -> Result<(Self, Row), DataError> {
        let opened = finetune_files::open(manifest);
        let (file, _) = opened.map_err(|source| DataError::Io {
            path: manifest.to_owned(),
            source,
        })?;
        let mut file = BufReader::new(file);
        let start = io::BufRead::fill_buf(&mut file);
        let start = start.map_err(|failure| error(manifest, None, failure))?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(error(manifest, None, "it is UTF-16 text; save it as UTF-8"));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            io::BufRead::consume(&mut file, 3);
        }
        let left = Row(Arc::new(AtomicU64::new(LONGEST_ROW)));
        let row = left.clone();
        Ok((Self { file, left }, row))
    }
}

impl Read for Bounded {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.left.0.load(Ordering::Relaxed);
        if left == 0 {
            let reason = format!("a row has more than {LONGEST_ROW} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let count = self.file.read(&mut bytes[..most])?;
        self.left.0.store(left - count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
