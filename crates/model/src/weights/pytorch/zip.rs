//! The directory of a zip archive (PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.4).
//!
//! Only what is needed to find the files that `torch.save` writes: archives in one part, with 32 or 64
//! bits of sizes, whose files are stored or deflated.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::storage::Place;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";

/// Bytes of the end record without its comment, and the longest comment.
const END_SIZE: usize = 22;
const COMMENT: usize = 0xffff;

/// The most files in an archive, and the most bytes of their names.
const MOST_FILES: usize = 1 << 16;
const MOST_NAMES: usize = 8 << 20;

/// The files of an archive.
#[derive(Debug)]
pub(super) struct Directory {
    files: BTreeMap<String, Listed>,
    /// Bytes before the archive: offsets count from its first byte.
    before: u64,
}

/// What the directory says about a file.
#[derive(Debug, Clone, Copy)]
struct Listed {
    header: u64,
    packed: u64,
    length: u64,
    method: u16,
    encrypted: bool,
    crc: u32,
}

impl Directory {
    /// Reads the directory of an archive of `size` bytes.
    pub(super) fn read(file: &mut File, size: u64) -> Result<Self, String> {
        let end = End::find(file, size)?;
        let damaged = || "its directory is damaged".to_owned();
        let place = end.place.checked_sub(end.length).ok_or_else(damaged)?;
        let before = place.checked_sub(end.offset).ok_or_else(damaged)?;
        file.seek(SeekFrom::Start(place)).map_err(text)?;
        let mut reader = BufReader::new(file.take(end.length));
        let mut files = BTreeMap::new();
        let mut names = 0;
        for _ in 0..end.count {
            let (name, listed) = entry(&mut reader).map_err(|reason| match reason {
                Some(reason) => reason,
                None => damaged(),
            })?;
            names += name.len();
            files.insert(name, listed);
            if files.len() > MOST_FILES || names > MOST_NAMES {
                return Err(format!("it has more than {MOST_FILES} files"));
            }
        }
        Ok(Self { files, before })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Where a file is; `None` if there is none of this name.
    pub(super) fn place(
        &self,
        name: &str,
        file: &mut File,
        size: u64,
    ) -> Result<Option<Place>, String> {
        let Some(listed) = self.files.get(name) else {
            return Ok(None);
        };
        let shown = finetune_files::quoted(name);
        if listed.encrypted {
            return Err(format!("its part {shown} is encrypted"));
        }
        let deflated = match listed.method {
            0 if listed.packed == listed.length => false,
            0 => return Err(format!("its part {shown} has two sizes: it is damaged")),
            8 => true,
            other => {
                return Err(format!(
                    "its part {shown} is compressed by the method {other}, which is not supported; \
                     unpack it and pack it without compression"
                ));
            }
        };
        let outside =
            || format!("its part {shown} is outside of the file: it is truncated or damaged");
        let header = self.before.checked_add(listed.header).ok_or_else(outside)?;
        let mut local = [0; 30];
        file.seek(SeekFrom::Start(header)).map_err(text)?;
        file.read_exact(&mut local).map_err(|_| outside())?;
        if local[..4] != LOCAL {
            return Err(outside());
        }
        let lengths = u64::from(le16(&local, 26)) + u64::from(le16(&local, 28));
        let start = header.checked_add(30 + lengths).ok_or_else(outside)?;
        if start
            .checked_add(listed.packed)
            .is_none_or(|end| end > size)
        {
            return Err(outside());
        }
        Ok(Some(Place {
            start,
            packed: listed.packed,
            length: listed.length,
            deflated,
            crc: (listed.crc != 0).then_some(listed.crc),
        }))
    }
}

/// The end record of an archive.
struct End {
    /// Where the directory ends.
    place: u64,
    /// Bytes of the directory.
    length: u64,
    /// Where the directory begins, counted from the first byte of the archive.
    offset: u64,
    /// Number of files.
    count: u64,
}

impl End {
    fn find(file: &mut File, size: u64) -> Result<Self, String> {
        let window = size.min((END_SIZE + COMMENT) as u64);
        let first = size - window;
        file.seek(SeekFrom::Start(first)).map_err(text)?;
        let mut bytes = Vec::new();
        file.take(window).read_to_end(&mut bytes).map_err(text)?;
        // The comment of the record reaches to the end of the file. The last such record counts: what
        // looks like one before it belongs to a file.
        let last = bytes.len().checked_sub(END_SIZE);
        let at = last.and_then(|last| {
            (0..=last).rev().find(|at| {
                bytes[*at..].starts_with(&END)
                    && *at + END_SIZE + usize::from(le16(&bytes, at + 20)) == bytes.len()
            })
        });
        let at = at.ok_or_else(|| {
            "the directory at its end is missing: it is truncated, as after a download that was \
             interrupted"
                .to_owned()
        })?;
        let record = &bytes[at..];
        let place = first + at as u64;
        let short = Self {
            place,
            length: le32(record, 12).into(),
            offset: le32(record, 16).into(),
            count: le16(record, 10).into(),
        };
        let marked =
            short.count == 0xffff || short.length == 0xffff_ffff || short.offset == 0xffff_ffff;
        // Where 64 bits are needed, a locator stands before the end record.
        let long = match place.checked_sub(20) {
            Some(locator) => Self::long(file, locator)?,
            None => None,
        };
        match long {
            Some(long) => Ok(long),
            None if marked => Err("its directory is damaged".to_owned()),
            None => Ok(short),
        }
    }

    /// The record with 64 bits of sizes that a locator at `place` points to; `None` if there is none.
    fn long(file: &mut File, place: u64) -> Result<Option<Self>, String> {
        let mut locator = [0; 20];
        file.seek(SeekFrom::Start(place)).map_err(text)?;
        file.read_exact(&mut locator).map_err(text)?;
        if locator[..4] != LOCATOR64 {
            return Ok(None);
        }
        // The record is 56 bytes long unless it has extensions, which nobody writes. Its offset counts
        // from the first byte of the archive, which may not be that of the file.
        let mut record = [0; 56];
        for start in [le64(&locator, 8), place.saturating_sub(56)] {
            if start >= place {
                continue;
            }
            file.seek(SeekFrom::Start(start)).map_err(text)?;
            if file.read_exact(&mut record).is_ok() && record[..4] == END64 {
                return Ok(Some(Self {
                    place: start,
                    length: le64(&record, 40),
                    offset: le64(&record, 48),
                    count: le64(&record, 32),
                }));
            }
        }
        Ok(None)
    }
}

/// Reads an entry of the directory. An error without a reason is damage.
fn entry(reader: &mut impl Read) -> Result<(String, Listed), Option<String>> {
    let mut fixed = [0; 46];
    reader.read_exact(&mut fixed).map_err(|_| None)?;
    if fixed[..4] != CENTRAL {
        return Err(None);
    }
    let mut part = |length: u16| {
        let mut bytes = vec![0; length.into()];
        reader.read_exact(&mut bytes).map(|()| bytes)
    };
    let name = part(le16(&fixed, 28)).map_err(|_| None)?;
    let extra = part(le16(&fixed, 30)).map_err(|_| None)?;
    part(le16(&fixed, 32)).map_err(|_| None)?;
    let mut listed = Listed {
        header: le32(&fixed, 42).into(),
        packed: le32(&fixed, 20).into(),
        length: le32(&fixed, 24).into(),
        method: le16(&fixed, 10),
        encrypted: le16(&fixed, 8) & 1 != 0,
        crc: le32(&fixed, 16),
    };
    // The values that do not fit are in an extra field, in this order.
    let mut wide = extra_field(&extra, 1).unwrap_or_default();
    for value in [&mut listed.length, &mut listed.packed, &mut listed.header] {
        if *value == 0xffff_ffff {
            let (first, rest) = wide.split_first_chunk::<8>().ok_or(None)?;
            *value = u64::from_le_bytes(*first);
            wide = rest;
        }
    }
    Ok((String::from_utf8_lossy(&name).into_owned(), listed))
}

fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (id, length) = (le16(extra, 0), usize::from(le16(extra, 2)));
        let (field, rest) = extra[4..].split_at_checked(length)?;
        if id == wanted {
            return Some(field);
        }
        extra = rest;
    }
    None
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk::<N>);
    found.copied().unwrap_or([0; N])
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn text(error: std::io::Error) -> String {
    error.to_string()
}
