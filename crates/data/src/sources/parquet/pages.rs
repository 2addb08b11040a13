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

/// Bytes that the pages of a file may have whatever their compressed size is.
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
    names: &[&str],
) -> Result<(), String> {
    let mut source = BufReader::new(file);
    let size = source
        .seek(SeekFrom::End(0))
        .map_err(|error| format!("its size is not known ({error})"))?;
    let mut pages = Pages {
        source,
        size,
        compressed: 0,
        uncompressed: 0,
    };
    let groups = metadata.row_groups().iter();
    for column in groups.flat_map(RowGroupMetaData::columns) {
        let path = column.column_path().parts();
        if path
            .first()
            .is_some_and(|name| names.contains(&name.as_str()))
        {
            pages.check(column)?;
        }
    }
    Ok(())
}

/// The pages that were checked.
struct Pages<S> {
    source: S,
    /// Bytes of the file.
    size: u64,
    /// Bytes of all pages in the file, and when they are decompressed. Without a limit for their sums,
    /// a file of a few kilobytes whose columns share their pages keeps the reader busy for hours.
    compressed: u64,
    uncompressed: u64,
}

impl<S: BufRead + Seek> Pages<S> {
    fn check(&mut self, column: &ColumnChunkMetaData) -> Result<(), String> {
        let (mut next, length) = column.byte_range();
        let end = next.saturating_add(length);
        let is_compressed = column.compression() != Compression::UNCOMPRESSED;
        let mut left = u64::try_from(column.num_values()).unwrap_or(0);
        while next < end && left > 0 {
            let read = |error: io::Error| format!("a page cannot be read ({error})");
            self.source.seek(SeekFrom::Start(next)).map_err(read)?;
            let mut input = Input {
                source: &mut self.source,
                read: 0,
            };
            let mut header = Header::default();
            input.structure(0, 0, &mut header).map_err(read)?;
            let bytes = input.read.saturating_add(header.compressed);
            let held = if is_compressed {
                header.uncompressed
            } else {
                header.compressed
            };
            self.compressed = self.compressed.saturating_add(bytes);
            self.uncompressed = self.uncompressed.saturating_add(header.uncompressed);
            if self.compressed > self.size {
                return Err(format!(
                    "its pages have more bytes than the file, which has {}; it is damaged",
                    self.size
                ));
            }
            let most = self
                .compressed
                .saturating_mul(MOST_EXPANSION)
                .saturating_add(ALLOWED);
            // An entry of a dictionary has a byte at least.
            if self.uncompressed > most || header.entries > held {
                return Err(format!(
                    "a page of {} bytes claims to have {} when it is decompressed, and {} entries of a \
                     dictionary; it is damaged",
                    header.compressed, header.uncompressed, header.entries
                ));
            }
            left = left.saturating_sub(header.values);
            next = next.saturating_add(bytes);
        }
        Ok(())
    }
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
    use std::sync::Arc;

    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;

    use super::*;

    /// A column of `length` bytes at the beginning of the file.
    fn column(length: usize) -> ColumnChunkMetaData {
        let schema = parse_message_type("message schema { required binary image; }").unwrap();
        let schema = SchemaDescriptor::new(Arc::new(schema));
        ColumnChunkMetaData::builder(schema.column(0))
            .set_compression(Compression::SNAPPY)
            .set_num_values(1000)
            .set_data_page_offset(0)
            .set_total_compressed_size(length.try_into().unwrap())
            .build()
            .unwrap()
    }

    fn pages(bytes: Vec<u8>) -> Pages<Cursor<Vec<u8>>> {
        Pages {
            size: bytes.len() as u64,
            source: Cursor::new(bytes),
            compressed: 0,
            uncompressed: 0,
        }
    }

    /// A page of data of version 2 with one value: 4 bytes, which become `uncompressed`.
    fn page(uncompressed: u32) -> Vec<u8> {
        let mut bytes = vec![0x15, 6, 0x15];
        let mut number = uncompressed << 1;
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes.extend([0x15, 8, 0x5c, 0x15, 2, 0, 0]);
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn columns_that_share_their_pages_are_an_error() {
        let bytes = [page(10), page(10)].concat();
        let column = column(bytes.len());
        let mut pages = pages(bytes);
        assert_eq!(pages.check(&column), Ok(()));
        assert_eq!(pages.uncompressed, 20);
        let error = pages.check(&column).unwrap_err();
        assert!(error.contains("more bytes than the file"), "{error}");
    }

    #[test]
    fn many_pages_claim_no_more_than_one() {
        let most = 16 << 20;
        let one = page(most);
        let mut single = pages(one.clone());
        assert_eq!(single.check(&column(one.len())), Ok(()));
        let bytes = one.repeat(3);
        let error = pages(bytes.clone()).check(&column(bytes.len()));
        let error = error.unwrap_err();
        assert!(error.contains("when it is decompressed"), "{error}");
    }

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
