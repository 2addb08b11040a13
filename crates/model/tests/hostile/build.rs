//! Writes weights files byte by byte, so that each part can be wrong.

use std::io::Write;

/// A safetensors file with a header and zeros.
pub(crate) fn safetensors(header: &str, zeros: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + zeros, 0);
    bytes
}

/// A file of an archive.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// What is claimed, if it is not true: bytes in the archive and bytes of the file.
    pub(crate) sizes: Option<(u32, u32)>,
    /// Where the directory says that it is, if that is not true.
    pub(crate) header: Option<u32>,
}

impl Part {
    pub(crate) fn stored(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
            method: 0,
            flags: 0,
            sizes: None,
            header: None,
        }
    }

    pub(crate) fn deflated(name: &str, bytes: &[u8]) -> Self {
        let level = flate2::Compression::best();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        let packed = encoder.finish().unwrap();
        let length = u32::try_from(bytes.len()).unwrap();
        let sizes = Some((u32::try_from(packed.len()).unwrap(), length));
        Self {
            method: 8,
            sizes,
            ..Self::stored(name, &packed)
        }
    }
}

/// The end record of an archive.
pub(crate) struct End {
    pub(crate) count: u16,
    pub(crate) length: u32,
    pub(crate) offset: u32,
    pub(crate) comment: Vec<u8>,
}

/// An archive. `change` may falsify its end record.
pub(crate) fn archive(parts: &[Part], change: impl FnOnce(&mut End)) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let place = u32::try_from(out.len()).unwrap();
        let length = u32::try_from(part.bytes.len()).unwrap();
        let (packed, unpacked) = part.sizes.unwrap_or((length, length));
        let name = u16::try_from(part.name.len()).unwrap();
        let mut common = Vec::new();
        for half in [20, part.flags, part.method, 0, 0] {
            common.extend_from_slice(&half.to_le_bytes());
        }
        for word in [0, packed, unpacked] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        common.extend_from_slice(&name.to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(part.name.as_bytes());
        out.extend_from_slice(&part.bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&part.header.unwrap_or(place).to_le_bytes());
        directory.extend_from_slice(part.name.as_bytes());
    }
    let mut end = End {
        count: u16::try_from(parts.len()).unwrap(),
        length: u32::try_from(directory.len()).unwrap(),
        offset: u32::try_from(out.len()).unwrap(),
        comment: Vec::new(),
    };
    change(&mut end);
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&end.count.to_le_bytes());
    out.extend_from_slice(&end.count.to_le_bytes());
    out.extend_from_slice(&end.length.to_le_bytes());
    out.extend_from_slice(&end.offset.to_le_bytes());
    out.extend_from_slice(&u16::try_from(end.comment.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&end.comment);
    out
}

/// An archive of PyTorch with a pickle and a storage of 64 bytes.
pub(crate) fn torch(pickle: &[u8]) -> Vec<u8> {
    let parts = [
        Part::stored("a/data.pkl", pickle),
        Part::stored("a/data/0", &[0; 64]),
    ];
    archive(&parts, |_| {})
}

/// A text of a pickle.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut out = vec![b'X'];
    out.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out
}

/// An integer of a pickle.
pub(crate) fn integer(value: i64) -> Vec<u8> {
    let mut out = vec![0x8a, 8];
    out.extend_from_slice(&value.to_le_bytes());
    out
}

pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![b'('];
    out.extend(items.concat());
    out.push(b't');
    out
}

pub(crate) fn integers(values: &[i64]) -> Vec<u8> {
    let items: Vec<_> = values.iter().map(|value| integer(*value)).collect();
    tuple(&items)
}

/// A storage by its key and its number of 32-bit floating-point numbers.
pub(crate) fn storage(key: &str, count: i64) -> Vec<u8> {
    let class = b"ctorch\nFloatStorage\n".to_vec();
    let mut out = tuple(&[
        text("storage"),
        class,
        text(key),
        text("cpu"),
        integer(count),
    ]);
    out.push(b'Q');
    out
}

/// A tensor.
pub(crate) fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut out = b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec();
    out.extend(tuple(&[
        storage.to_vec(),
        integer(offset),
        integers(shape),
        integers(strides),
        vec![0x89],
        b"}".to_vec(),
    ]));
    out.push(b'R');
    out
}

/// A pickle of a dictionary.
pub(crate) fn dictionary(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    for (key, value) in items {
        out.extend(text(key));
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"u.");
    out
}

/// A file of before PyTorch 1.6: a pickle, the keys of its storages, and these.
pub(crate) fn legacy(pickle: &[u8], keys: &[u8], storages: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    out.extend_from_slice(b"\x80\x02M\xe9\x03.");
    out.extend_from_slice(b"\x80\x02}");
    out.extend(text("little_endian"));
    out.extend_from_slice(b"\x88s.");
    out.extend_from_slice(pickle);
    out.extend_from_slice(keys);
    out.extend_from_slice(storages);
    out
}
