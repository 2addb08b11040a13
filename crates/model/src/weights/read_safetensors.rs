//! safetensors files: the header is checked, tensors are read when they are asked for.
//!
//! The header is parsed here and not by the safetensors crate, whose representation of a header takes
//! many times its size in memory. Rows are read into a small buffer instead of mapping the file into
//! memory: this needs as little memory and no `unsafe`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};

use finetune_files::{elements, quoted, shortened, visible};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::pickle::MOST_TENSORS;
use super::tensor_file::{Entry, Float, TensorFile};

/// Longest header that is accepted, bytes: the limit of the safetensors crate.
const MAX_HEADER: u64 = 100_000_000;

/// The most lengths that a shape has, as in PyTorch.
const MOST_AXES: usize = 64;

/// Key–value pairs of the header.
const METADATA: &str = "__metadata__";

/// Name, bits and floating-point numbers of the types (the format's specification lists them).
const TYPES: &[(&str, u64, Option<Float>)] = &[
    ("F64", 64, Some(Float::F64)),
    ("F32", 32, Some(Float::F32)),
    ("F16", 16, Some(Float::F16)),
    ("BF16", 16, Some(Float::Bf16)),
    ("I64", 64, None),
    ("U64", 64, None),
    ("I32", 32, None),
    ("U32", 32, None),
    ("I16", 16, None),
    ("U16", 16, None),
    ("I8", 8, None),
    ("U8", 8, None),
    ("BOOL", 8, None),
    ("C64", 64, None),
    ("F8_E4M3", 8, None),
    ("F8_E5M2", 8, None),
    ("F8_E8M0", 8, None),
    ("F8_E4M3FNUZ", 8, None),
    ("F8_E5M2FNUZ", 8, None),
    ("F6_E2M3", 6, None),
    ("F6_E3M2", 6, None),
    ("F4", 4, None),
];

pub(super) struct SafeTensors<R> {
    data: R,
    entries: BTreeMap<String, Entry>,
    /// Offset of the first byte of each tensor, by its number.
    offsets: Vec<u64>,
}

impl<R: Read + Seek> SafeTensors<R> {
    /// Reads and checks the header of a file of `length` bytes. Also returns its key–value pairs.
    pub(super) fn open(
        mut data: R,
        length: u64,
    ) -> Result<(Self, BTreeMap<String, String>), String> {
        let mut size = [0; 8];
        data.read_exact(&mut size)
            .map_err(|_| "it has fewer than 8 bytes".to_owned())?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size > length.saturating_sub(8) {
            return Err(format!(
                "its header says that it has {size} bytes of {length}; is it a safetensors or PyTorch \
                 file, and complete?"
            ));
        }
        let mut bytes = Vec::new();
        data.by_ref()
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        let header: Header = serde_json::from_slice(&bytes).map_err(|error| {
            let reason = error.to_string();
            format!(
                "its header is not valid: {}",
                visible(&shortened(&reason, 300))
            )
        })?;
        drop(bytes);
        let start = 8 + size;
        let wanted = header.check()?.checked_add(start);
        if wanted != Some(length) {
            return Err(match wanted {
                Some(wanted) => format!(
                    "its tensors need {wanted} bytes and it has {length}; it is truncated or damaged"
                ),
                None => "its tensors need more bytes than a file has; it is damaged".to_owned(),
            });
        }
        let opened = Self {
            data,
            entries: header.entries,
            offsets: header
                .ranges
                .into_iter()
                .map(|(first, _)| start + first)
                .collect(),
        };
        Ok((opened, header.metadata))
    }
}

/// The header of a file.
#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, Entry>,
    /// First byte, and one past the last one, of each tensor by its number.
    ranges: Vec<(u64, u64)>,
}

impl Header {
    /// Checks that the tensors have the sizes of their shapes and lie side by side without gaps. Returns
    /// how many bytes they have together.
    fn check(&self) -> Result<u64, String> {
        for (name, entry) in &self.entries {
            let (first, end) = self.ranges.get(entry.index).copied().unwrap_or_default();
            let bits = TYPES.iter().find(|(name, ..)| *name == entry.dtype);
            let bits = bits.map_or(0, |(_, bits, _)| *bits);
            let bytes = elements(&entry.shape)
                .and_then(|count| (count as u64).checked_mul(bits))
                .filter(|bits| bits % 8 == 0)
                .map(|bits| bits / 8);
            if bytes.is_none() || end.checked_sub(first) != bytes {
                return Err(format!(
                    "its tensor {} does not have the size of its shape {:?}; it is damaged",
                    quoted(name),
                    entry.shape
                ));
            }
        }
        let mut ranges = self.ranges.clone();
        ranges.sort_unstable();
        let mut next = 0;
        for (first, end) in ranges {
            if first != next {
                return Err("its tensors overlap or leave gaps; it is damaged".to_owned());
            }
            next = end;
        }
        Ok(next)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                header.metadata = map.next_value::<Pairs>()?.0;
                continue;
            }
            let Info {
                dtype: Kind(kind),
                shape: Shape(shape),
                data_offsets,
            } = map.next_value()?;
            let (dtype, _, float) = TYPES[kind];
            let entry = Entry {
                shape,
                float,
                dtype,
                index: header.ranges.len(),
            };
            header.ranges.push(data_offsets);
            if header.entries.insert(name, entry).is_some() {
                return Err(A::Error::custom("two tensors have the same name"));
            }
            if header.ranges.len() > MOST_TENSORS {
                let most = format!("it has more than {MOST_TENSORS} tensors");
                return Err(A::Error::custom(most));
            }
        }
        Ok(header)
    }
}

/// Key–value pairs.
struct Pairs(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_unit<E: Error>(self) -> Result<Pairs, E> {
                Ok(Pairs(BTreeMap::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    pairs.insert(key, value);
                    if pairs.len() > MOST_TENSORS {
                        let most = format!("it has more than {MOST_TENSORS} pairs");
                        return Err(A::Error::custom(most));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// What the header says about a tensor.
#[derive(Deserialize)]
struct Info {
    dtype: Kind,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// A type, as its index in [`TYPES`].
struct Kind(usize);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = TYPES.iter().position(|(known, ..)| *known == name);
        found
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("the type {} is unknown", quoted(&name))))
    }
}

struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lengths;
        impl<'de> Visitor<'de> for Lengths {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MOST_AXES} lengths")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut lengths = Vec::new();
                while lengths.len() < MOST_AXES {
                    let Some(length) = seq.next_element()? else {
                        return Ok(Shape(lengths));
                    };
                    lengths.push(length);
                }
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Shape(lengths)),
                    Some(_) => Err(A::Error::invalid_length(MOST_AXES + 1, &self)),
                }
            }
        }
        deserializer.deserialize_seq(Lengths)
    }
}

impl<R: Read + Seek + Send> TensorFile for SafeTensors<R> {
    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn reserve(&self, name: &str) -> Result<usize, String> {
        let entry = self.entries.get(name);
        // The header was compared with the length of the file.
        Ok(entry.and_then(|entry| elements(&entry.shape)).unwrap_or(0))
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        let entry = self.entries.get(name);
        let found = entry.and_then(|entry| Some((entry, self.offsets.get(entry.index)?)));
        let Some((entry, offset)) = found else {
            return Err(format!("it has no tensor {}", quoted(name)));
        };
        let float = entry.float(name)?;
        let (rows, row) = entry.rows();
        if row == 0 {
            return Ok(());
        }
        self.data
            .seek(SeekFrom::Start(*offset))
            .map_err(|error| error.to_string())?;
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        let mut first = 0;
        while first < rows {
            let count = count.clamp(1, rows - first);
            bytes.resize(count * row * float.width(), 0);
            self.data
                .read_exact(&mut bytes)
                .map_err(|error| error.to_string())?;
            float.widen(&bytes, &mut values);
            each(first, &values);
            first += count;
        }
        Ok(())
    }
}
