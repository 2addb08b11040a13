//! Checks of the headers of a file's pages, whose sizes the reader believes: it reserves memory for them
//! before it decompresses a page.
//!
//! A header is a struct of Thrift's compact protocol (`PageHeader` in `parquet.thrift`).

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// How many times larger than in the file a page, and all images, may be: a dictionary repeats an image at
/// no cost.
pub(super) const MOST_EXPANSION: u64 = 1024;

/// Bytes that a page may have whatever its compressed size is.
const ALLOWED: u64 = 16 << 20;

/// How deeply structs are nested in a header.
const DEEPEST: usize = 4;

/// What a header says.
#[derive(Debug, Default, PartialEq)]
struct Header {
    uncompressed: u64,
    compressed: u64,
    /// Values of a dictionary.
    entries: u64,
    /// Values of a page of data.
    values: u64,
}

/// Checks the pages of the columns of these names.
pub(super) fn check(
    file: impl Read + Seek,
    metadata: &ParquetMetaData,
    names: [&str; 2],
) -> Result<(), String> {
    let mut source = BufReader::new(file);
    let groups = metadata.row_groups().iter();
    for column in groups.flat_map(RowGroupMetaData::columns) {
        let path = column.column_path().parts();
        if path
            .first()
            .is_some_and(|name| names.contains(&name.as_str()))
        {
            check_column(&mut source, column)?;
        }
    }
    Ok(())
}

fn check_column(
    source: &mut (impl BufRead + Seek),
    column: &ColumnChunkMetaData,
) -> Result<(), String> {
    let (mut next, length) = column.byte_range();
    let end = next.saturating_add(length);
    let is_compressed = column.compression() != Compression::UNCOMPRESSED;
    let mut left = u64::try_from(column.num_values()).unwrap_or(0);
    while next < end && left > 0 {
        let read = |error: io::Error| format!("a page cannot be read ({error})");
        source.seek(SeekFrom::Start(next)).map_err(read)?;
        let mut input = Input { source, read: 0 };
        let mut header = Header::default();
        input.structure(0, 0, &mut header).map_err(read)?;
        let most = header
            .compressed
            .saturating_mul(MOST_EXPANSION)
            .saturating_add(ALLOWED);
        let held = if is_compressed {
            header.uncompressed
        } else {
            header.compressed
        };
        // An entry of a dictionary has a byte at least.
        if header.uncompressed > most || header.entries > held {
            return Err(format!(
                "a page of {} bytes claims to have {} when it is decompressed, and {} entries of a \
                 dictionary; it is damaged",
                header.compressed, header.uncompressed, header.entries
            ));
        }
        left = left.saturating_sub(header.values);
        next = next
            .saturating_add(input.read)
            .saturating_add(header.compressed);
    }
    Ok(())
}

struct Input<'a, R> {
    source: &'a mut R,
    /// How many bytes were read.
    read: u64,
}

impl<R: BufRead> Input<'_, R> {
    /// Reads a struct that is the field `parent` of the header; 0 is the header itself.
    fn structure(&mut self, parent: u64, depth: usize, header: &mut Header) -> io::Result<()> {
        let mut field = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0xf;
            if kind == 0 {
                return Ok(());
            }
            field = match head >> 4 {
                0 => self.integer()?,
                step => field + u64::from(step),
            };
            match kind {
                // Booleans are in the head.
                1 | 2 => {}
                3 => drop(self.byte()?),
                4..=6 => header.set(parent, field, self.integer()?),
                7 => self.skip(8)?,
                8 => {
                    let length = self.number()?;
                    self.skip(length)?;
                }
                12 if depth < DEEPEST => self.structure(field, depth + 1, header)?,
                _ => return Err(invalid()),
            }
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.source.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    /// A number in groups of 7 bits, the lowest first.
    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(invalid())
    }

    /// An integer that is not negative; its lowest bit is the sign.
    fn integer(&mut self) -> io::Result<u64> {
        let number = self.number()?;
        if number & 1 == 0 {
            Ok(number >> 1)
        } else {
            Err(invalid())
        }
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(count), &mut io::sink())?;
        self.read += skipped;
        if skipped == count {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Header {
    fn set(&mut self, parent: u64, field: u64, value: u64) {
        match (parent, field) {
            (0, 2) => self.uncompressed = value,
            (0, 3) => self.compressed = value,
            // The headers of a page of data, of a dictionary, and of a page of data of version 2.
            (5 | 8, 1) => self.values = value,
            (7, 1) => self.entries = value,
            _ => {}
        }
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its header is not valid")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn header(bytes: &[u8]) -> io::Result<(Header, u64)> {
        let mut header = Header::default();
        let mut input = Input {
            source: &mut Cursor::new(bytes),
            read: 0,
        };
        input.structure(0, 0, &mut header)?;
        Ok((header, input.read))
    }

    #[test]
    fn a_header_says_the_sizes_of_its_page() {
        // Type 2, 300 bytes, 100 bytes, a dictionary of 4 entries with the encoding 0, sorted.
        let bytes = [
            0x15, 4, 0x15, 0xd8, 4, 0x15, 0xc8, 1, 0x4c, 0x15, 8, 0x15, 0, 0x11, 0, 0,
        ];
        let wanted = Header {
            uncompressed: 300,
            compressed: 100,
            entries: 4,
            values: 0,
        };
        assert_eq!(header(&bytes).unwrap(), (wanted, 16));
        for length in 0..bytes.len() {
            assert!(header(&bytes[..length]).is_err(), "{length}");
        }
        // A negative size, a list, a number without an end.
        for bytes in [&[0x25, 3, 0][..], &[0x29, 0x15, 2, 0], &[0xff; 32]] {
            assert!(header(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn structs_that_are_nested_without_end_are_an_error() {
        assert!(header(&vec![0x1c; 1 << 20]).is_err());
    }
}
