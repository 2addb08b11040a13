//! The files of PyTorch before version 0.1.10: tar archives (`torch/serialization.py`, `legacy_load`).
//!
//! One part lists the storages with their numbers, one the tensors, and one is a pickle of dictionaries
//! whose persistent ids are the keys of tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::opened::{Opened, big_endian};
use super::storage::Place;
use crate::weights::pickle::{self, MOST_TENSORS, Number, Pickled};

/// Bytes of a block.
const BLOCK: usize = 512;

/// The most files of an archive that are looked at.
const MOST_FILES: usize = 1000;

/// Whether a file begins like an archive of PyTorch.
pub(super) fn is_tar(start: &[u8]) -> bool {
    let name = start.strip_prefix(b"./").unwrap_or(start);
    let is_part = [
        &b"sys_info\0"[..],
        b"pickle\0",
        b"storages\0",
        b"tensors\0",
        b"\0",
    ];
    start.get(257..262) == Some(b"ustar") && is_part.iter().any(|part| name.starts_with(part))
}

/// Reads an archive of `size` bytes and finds its storages.
pub(super) fn open(file: &mut File, size: u64) -> Result<Opened, String> {
    let parts = directory(file, size)?;
    let part = |name: &str| {
        let found = parts.get(name).copied();
        found.ok_or_else(|| format!("it has no part `{name}`: it was not written by PyTorch"))
    };
    if let Ok(place) = part("sys_info") {
        let mut reader = Part::new(file, place)?;
        if pickle::read_boolean(&mut reader.source, "little_endian")? == Some(false) {
            return Err(big_endian());
        }
    }
    let mut storages = storages(file, part("storages")?)?;
    let tensors = tensors(file, part("tensors")?, &storages)?;
    let mut reader = Part::new(file, part("pickle")?)?;
    let contents = pickle::read_with(&mut reader.source, tensors)?;
    let places = storages.drain().map(|(key, (_, place))| (key, place));
    Ok(Opened {
        contents,
        places: places.collect(),
    })
}

/// A part of the archive that is being read.
struct Part<'a> {
    source: BufReader<&'a mut File>,
    end: u64,
}

impl<'a> Part<'a> {
    fn new(file: &'a mut File, (start, length): (u64, u64)) -> Result<Self, String> {
        file.seek(SeekFrom::Start(start)).map_err(text)?;
        Ok(Self {
            source: BufReader::new(file),
            end: start + length,
        })
    }

    fn long(&mut self) -> Result<i64, String> {
        let mut bytes = [0; 8];
        self.source
            .read_exact(&mut bytes)
            .map_err(|_| truncated())?;
        Ok(i64::from_le_bytes(bytes))
    }

    fn size(&mut self) -> Result<usize, String> {
        usize::try_from(self.long()?)
            .map_err(|_| "it has a negative length: it is damaged".to_owned())
    }

    /// How many storages or tensors follow.
    fn count(&mut self) -> Result<i64, String> {
        let count = pickle::read_integer(&mut self.source)?;
        let most = i64::try_from(MOST_TENSORS).unwrap_or(i64::MAX);
        let count = count.filter(|count| (0..=most).contains(count));
        count.ok_or_else(|| "it does not say how many tensors it has: it is damaged".to_owned())
    }

    /// A key, what belongs to it, and the type of its numbers.
    fn fields(&mut self) -> Result<(String, String, Option<Number>), String> {
        pickle::read_fields(&mut self.source)
    }
}

/// The files of the archive: first byte and length.
fn directory(file: &mut File, size: u64) -> Result<HashMap<String, (u64, u64)>, String> {
    let mut parts = HashMap::new();
    let mut next = 0;
    let mut block = [0; BLOCK];
    for _ in 0..MOST_FILES {
        file.seek(SeekFrom::Start(next)).map_err(text)?;
        if file.read_exact(&mut block).is_err() || block[0] == 0 && block[124] == 0 {
            break;
        }
        let name = block[..100]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        let digits = String::from_utf8_lossy(&block[124..136]);
        let digits = digits.trim_matches(['\0', ' ']);
        let length = u64::from_str_radix(digits, 8).map_err(|_| truncated())?;
        let start = next + BLOCK as u64;
        if start.checked_add(length).is_none_or(|end| end > size) {
            return Err(truncated());
        }
        let name = name.trim_start_matches("./").to_owned();
        parts.insert(name, (start, length));
        next = start + length.div_ceil(BLOCK as u64) * BLOCK as u64;
    }
    Ok(parts)
}

type Storages = HashMap<String, (Number, Place)>;

fn storages(file: &mut File, place: (u64, u64)) -> Result<Storages, String> {
    let mut part = Part::new(file, place)?;
    let mut storages = HashMap::new();
    for _ in 0..part.count()? {
        let (key, _, number) = part.fields()?;
        let number = number.ok_or_else(|| "it has a storage of an unknown type".to_owned())?;
        let length = (part.size()? as u64).checked_mul(number.width() as u64);
        let start = part.source.stream_position().map_err(text)?;
        let end = length.and_then(|length| start.checked_add(length));
        let (Some(length), Some(end)) = (length, end.filter(|end| *end <= part.end)) else {
            return Err(truncated());
        };
        part.source.seek(SeekFrom::Start(end)).map_err(text)?;
        let place = Place {
            start,
            packed: length,
            length,
            deflated: false,
            crc: None,
        };
        storages.insert(key, (number, place));
    }
    // What follows lists views of storages, which PyTorch had given up before this format ended.
    let views = pickle::count_items(&mut part.source)?;
    if views != 0 {
        return Err(
            "it has views of storages; load it with torch.load and save it again".to_owned(),
        );
    }
    Ok(storages)
}

fn tensors(
    file: &mut File,
    place: (u64, u64),
    storages: &Storages,
) -> Result<Vec<(String, Pickled)>, String> {
    let mut part = Part::new(file, place)?;
    let mut tensors = Vec::new();
    for _ in 0..part.count()? {
        let (key, storage, _) = part.fields()?;
        // The rank has four bytes; four more are unused.
        let rank = part.long()? & 0xffff_ffff;
        if rank > 64 {
            return Err("it has a tensor of more than 64 axes: it is damaged".to_owned());
        }
        let lengths = |part: &mut Part<'_>| {
            (0..rank)
                .map(|_| part.size())
                .collect::<Result<Vec<_>, _>>()
        };
        let (shape, strides) = (lengths(&mut part)?, lengths(&mut part)?);
        let offset = part.size()? as u64;
        let (number, place) = storages
            .get(&storage)
            .ok_or_else(|| "it has a tensor without a storage: it is damaged".to_owned())?;
        let available = place.length / number.width() as u64;
        if pickle::extent(offset, &shape, &strides).is_none_or(|end| end > available) {
            return Err("it has a tensor that leaves its storage: it is damaged".to_owned());
        }
        let tensor = Pickled {
            number: *number,
            storage,
            offset,
            shape,
            strides,
        };
        tensors.push((key, tensor));
    }
    Ok(tensors)
}

fn truncated() -> String {
    "its parts are incomplete: it is truncated or damaged".to_owned()
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn text(error: std::io::Error) -> String {
    error.to_string()
}
