//! safetensors files: the header is checked, tensors are read when they are asked for.
//!
//! Rows are read into a small buffer instead of mapping the file into memory: this needs as little memory
//! and no `unsafe`.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use safetensors::tensor::{Dtype, Metadata};

use super::tensor_file::{Entry, Float, TensorFile};

/// Longest header that is accepted, bytes: the limit of the safetensors crate.
const MAX_HEADER: u64 = 100_000_000;

pub(super) struct SafeTensors<R> {
    data: R,
    entries: BTreeMap<String, Entry>,
    /// Offset of the first byte of each tensor.
    offsets: BTreeMap<String, u64>,
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
        let mut header = Vec::new();
        data.by_ref()
            .take(size)
            .read_to_end(&mut header)
            .map_err(|error| error.to_string())?;
        // Parsing checks that the tensors are contiguous and have the sizes of their shapes.
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| error.to_string())?;
        let start = 8 + size;
        let wanted = start + header.data_len() as u64;
        if wanted != length {
            return Err(format!(
                "its tensors need {wanted} bytes and it has {length}; it is truncated or damaged"
            ));
        }
        let (mut entries, mut offsets) = (BTreeMap::new(), BTreeMap::new());
        for (name, info) in header.tensors() {
            offsets.insert(name.clone(), start + info.data_offsets.0 as u64);
            let entry = Entry {
                shape: info.shape.clone(),
                float: match info.dtype {
                    Dtype::F64 => Some(Float::F64),
                    Dtype::F32 => Some(Float::F32),
                    Dtype::F16 => Some(Float::F16),
                    Dtype::BF16 => Some(Float::Bf16),
                    _ => None,
                },
                dtype: format!("{:?}", info.dtype),
            };
            entries.insert(name, entry);
        }
        let metadata = header.metadata().clone().unwrap_or_default();
        let opened = Self {
            data,
            entries,
            offsets,
        };
        Ok((opened, metadata.into_iter().collect()))
    }
}

impl<R: Read + Seek + Send> TensorFile for SafeTensors<R> {
    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        let (Some(entry), Some(offset)) = (self.entries.get(name), self.offsets.get(name)) else {
            return Err(format!("it has no tensor `{name}`"));
        };
        let float = entry.float(name)?;
        let (rows, row) = entry.rows();
        self.data
            .seek(SeekFrom::Start(*offset))
            .map_err(|error| error.to_string())?;
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        let mut first = 0;
        while first < rows {
            let count = count.min(rows - first);
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
