//! The bytes of a pickle, read once from front to back.

use std::io::{BufRead, ErrorKind, Read};

/// Longest line of a text opcode that is accepted, bytes.
const LONGEST_LINE: u64 = 1 << 16;

/// A pickle that is being read.
pub(super) struct Input<'a> {
    source: &'a mut dyn BufRead,
    position: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(source: &'a mut dyn BufRead) -> Self {
        Self {
            source,
            position: 0,
        }
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                ends_early()
            } else {
                error.to_string()
            }
        })?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Reads `count` bytes, whose number is small, into a buffer.
    pub(super) fn bytes(&mut self, count: u64, buffer: &mut Vec<u8>) -> Result<(), String> {
        buffer.clear();
        let read = self.source.take(count).read_to_end(buffer);
        let read = read.map_err(|error| error.to_string())?;
        self.position += read as u64;
        if read as u64 == count {
            Ok(())
        } else {
            Err(ends_early())
        }
    }

    /// Leaves out `count` bytes.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), String> {
        while count > 0 {
            let ready = self.source.fill_buf().map_err(|error| error.to_string())?;
            if ready.is_empty() {
                return Err(ends_early());
            }
            let part = usize::try_from(count)
                .unwrap_or(usize::MAX)
                .min(ready.len());
            self.source.consume(part);
            self.position += part as u64;
            count -= part as u64;
        }
        Ok(())
    }

    /// Reads the rest of a line, without its end.
    pub(super) fn line(&mut self, buffer: &mut Vec<u8>) -> Result<(), String> {
        buffer.clear();
        let read = self
            .source
            .take(LONGEST_LINE)
            .read_until(b'\n', buffer)
            .map_err(|error| error.to_string())?;
        self.position += read as u64;
        match buffer.pop() {
            Some(b'\n') => Ok(()),
            Some(_) if read as u64 == LONGEST_LINE => {
                Err("its pickle has a line that is too long".to_owned())
            }
            _ => Err(ends_early()),
        }
    }
}

fn ends_early() -> String {
    "its pickle ends early: it is truncated or damaged".to_owned()
}
