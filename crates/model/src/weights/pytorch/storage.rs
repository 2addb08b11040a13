//! The numbers of tensors: storages in a file, and the layout of a tensor in its storage.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::weights::pickle::Pickled;
use crate::weights::tensor_file::Float;

/// Where a storage, or another part of a file, is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its first byte in the file.
    pub start: u64,
    /// How many bytes it takes there.
    pub packed: u64,
    /// How many bytes it has.
    pub length: u64,
    pub deflated: bool,
    /// The checksum of its bytes, if it is known.
    pub crc: Option<u32>,
}

/// A tensor may use few numbers of a large storage, or a number many times. This much more than the
/// tensor itself is read into memory or made of it, bytes.
const SPREAD: u64 = 64 << 20;

impl Place {
    /// Its bytes from `skipped` on.
    pub(super) fn reader<'a>(
        &self,
        file: &'a mut File,
        skipped: u64,
    ) -> std::io::Result<Box<dyn Read + 'a>> {
        let rest = self.length.saturating_sub(skipped);
        if !self.deflated {
            file.seek(SeekFrom::Start(self.start + skipped))?;
            return Ok(Box::new(file.take(rest)));
        }
        file.seek(SeekFrom::Start(self.start))?;
        let mut reader = DeflateDecoder::new(BufReader::new(file.take(self.packed)));
        std::io::copy(&mut reader.by_ref().take(skipped), &mut std::io::sink())?;
        Ok(Box::new(reader.take(rest)))
    }

    /// Whether a tensor of this storage can be read. Returns how many of its numbers may be reserved.
    pub(super) fn reserve(&self, tensor: &Pickled, float: Float) -> Result<usize, String> {
        let width = float.width() as u64;
        let Some(span) = Span::of(tensor, width) else {
            return Ok(0);
        };
        let end = span.start.checked_add(span.length);
        if end.is_none_or(|end| end > self.length) {
            return Err(truncated());
        }
        let (spread, repeated) = (
            self.deflated && span.length > span.tensor.saturating_mul(16).saturating_add(SPREAD),
            span.tensor > span.length.saturating_add(SPREAD),
        );
        if !is_contiguous(tensor) && (spread || repeated) {
            return Err(
                "its layout in the file is out of proportion to its size; make it contiguous \
                        before torch.save"
                    .to_owned(),
            );
        }
        let numbers = usize::try_from(span.tensor / width).map_err(|_| truncated())?;
        // What is compressed may claim any length.
        Ok(if self.deflated {
            numbers.min(1 << 20)
        } else {
            numbers
        })
    }

    /// Reads a tensor of this storage, `count` rows of `row` numbers at a time.
    pub(super) fn rows(
        &self,
        file: &mut File,
        tensor: &Pickled,
        float: Float,
        (count, row): (usize, usize),
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        self.reserve(tensor, float)?;
        let width = float.width() as u64;
        let Some(span) = Span::of(tensor, width) else {
            return Ok(());
        };
        let rows = usize::try_from(span.tensor / width).map_err(|_| truncated())? / row.max(1);
        let whole = span.start == 0 && span.length == self.length;
        let sum = self.crc.filter(|_| whole);
        let mut crc = Crc::new();
        let mut reader = self
            .reader(file, span.start)
            .map_err(|error| error.to_string())?;
        let mut read = |count: u64, buffer: &mut Vec<u8>| -> Result<(), String> {
            buffer.clear();
            let read = reader.by_ref().take(count).read_to_end(buffer);
            if read.map_err(|error| error.to_string())? as u64 != count {
                return Err(truncated());
            }
            if sum.is_some() {
                crc.update(buffer);
            }
            Ok(())
        };
        let (mut buffer, mut values) = (Vec::new(), Vec::new());
        if is_contiguous(tensor) {
            for first in (0..rows).step_by(count) {
                let count = count.min(rows - first);
                read((count * row) as u64 * width, &mut buffer)?;
                float.widen(&buffer, &mut values);
                each(first, &values);
            }
        } else {
            read(span.length, &mut buffer)?;
            let mut part = Vec::new();
            for first in (0..rows).step_by(count) {
                let count = count.min(rows - first);
                part.clear();
                let range = first * row..(first + count) * row;
                gather(tensor, &buffer, float.width(), range, &mut part);
                float.widen(&part, &mut values);
                each(first, &values);
            }
        }
        match sum {
            Some(sum) if crc.sum() != sum => {
                Err("its numbers do not have their checksum: the file is damaged".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn truncated() -> String {
    "its numbers are missing in the file: it is truncated or damaged".to_owned()
}

/// The bytes of a tensor.
struct Span {
    /// Its first byte in the storage.
    start: u64,
    /// Bytes of the storage from its first number to its last.
    length: u64,
    /// Bytes of the tensor itself.
    tensor: u64,
}

impl Span {
    /// `None` if the tensor has no numbers.
    fn of(tensor: &Pickled, width: u64) -> Option<Self> {
        let used = used(tensor)?;
        let total: u64 = tensor.shape.iter().map(|length| *length as u64).product();
        Some(Self {
            start: tensor.offset.saturating_mul(width),
            length: used.saturating_mul(width),
            tensor: total.saturating_mul(width),
        })
    }
}

/// How many numbers of the storage a tensor spans, from its first one on; `None` if it has none. That it
/// does not overflow was checked when the tensor was read.
fn used(tensor: &Pickled) -> Option<u64> {
    if tensor.shape.contains(&0) {
        return None;
    }
    let mut last = 0_u64;
    for (length, stride) in tensor.shape.iter().zip(&tensor.strides) {
        last += length.checked_sub(1)? as u64 * *stride as u64;
    }
    Some(last + 1)
}

/// Whether its numbers follow one another. The strides of axes of length 1 do not count.
fn is_contiguous(tensor: &Pickled) -> bool {
    let mut expected = 1;
    for (length, stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
        if *length > 1 && *stride != expected {
            return false;
        }
        expected *= length;
    }
    true
}

/// Appends the numbers of a range of indices to `part`. `bytes` begins at the tensor's first number and
/// has all that it spans.
fn gather(
    tensor: &Pickled,
    bytes: &[u8],
    width: usize,
    range: std::ops::Range<usize>,
    part: &mut Vec<u8>,
) {
    for index in range {
        let mut rest = index;
        let mut place = 0;
        for (length, stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
            place += rest % length * stride;
            rest /= length;
        }
        part.extend_from_slice(&bytes[place * width..][..width]);
    }
}
