//! The files of PyTorch before version 1.6: pickles, then all storages one after the other
//! (`torch/serialization.py`, `_legacy_load`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use super::opened::{Opened, big_endian};
use super::storage::Place;
use crate::weights::pickle;

/// The magic number as protocols 2 to 5 write it, in little-endian bytes, and protocols 0 and 1.
const MAGIC: &[u8] = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const MAGIC_TEXT: &[u8] = b"119547037146038801333356";

/// Whether a file begins with the magic number. Its pickle may begin with a protocol and a frame.
pub(super) fn is_legacy(start: &[u8]) -> bool {
    let start = &start[..start.len().min(48)];
    let has = |magic: &[u8]| start.windows(magic.len()).any(|bytes| bytes == magic);
    has(MAGIC) || has(MAGIC_TEXT)
}

/// Reads the pickles of a file of `size` bytes and finds its storages.
pub(super) fn open(file: &mut File, size: u64) -> Result<Opened, String> {
    let mut reader = BufReader::new(&mut *file);
    pickle::read_integer(&mut reader)?; // the magic number
    if pickle::read_integer(&mut reader)? != Some(1001) {
        return Err("it has another version of the format than 1001".to_owned());
    }
    if pickle::read_boolean(&mut reader, "little_endian")? == Some(false) {
        return Err(big_endian());
    }
    let contents = pickle::read(&mut reader)?;
    let keys = pickle::read_texts(&mut reader)?;
    let start = reader
        .stream_position()
        .map_err(|error| error.to_string())?;
    drop(reader);
    let places = places(file, size, start, keys, &contents.storages)?;
    Ok(Opened { contents, places })
}

/// The places of the storages, which follow one another from `start` on: for each the number of its
/// elements, then these.
fn places(
    file: &mut File,
    size: u64,
    start: u64,
    keys: Vec<String>,
    described: &HashMap<String, (u64, u64)>,
) -> Result<HashMap<String, Place>, String> {
    let truncated = || "its storages are incomplete: it is truncated or damaged".to_owned();
    let mut places = HashMap::new();
    let mut next = start;
    for key in keys {
        let Some((length, width)) = described.get(&key) else {
            return Err(
                "its list of storages has one that no tensor has: it is damaged".to_owned(),
            );
        };
        file.seek(SeekFrom::Start(next))
            .map_err(|error| error.to_string())?;
        let mut count = [0; 8];
        file.read_exact(&mut count).map_err(|_| truncated())?;
        if u64::from_le_bytes(count).checked_mul(*width) != Some(*length) {
            return Err(
                "a storage has another size than its tensors say: it is damaged".to_owned(),
            );
        }
        let start = next + 8;
        next = start
            .checked_add(*length)
            .filter(|end| *end <= size)
            .ok_or_else(truncated)?;
        let place = Place {
            start,
            packed: *length,
            length: *length,
            deflated: false,
            crc: None,
        };
        places.insert(key, place);
    }
    Ok(places)
}

/// Reads a pickle without storages, which has no tensors, to say so.
pub(super) fn open_plain(reader: &mut dyn BufRead) -> Result<Opened, String> {
    let contents = pickle::read(reader)?;
    Ok(Opened {
        contents,
        places: HashMap::new(),
    })
}
