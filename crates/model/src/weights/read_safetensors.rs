//! safetensors files: a header that is checked, and tensors that are read when asked for.
//!
//! Rows are read into a small buffer rather than mapped into memory: as lean, and without `unsafe`.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use safetensors::tensor::{Dtype, Metadata};

use super::tensor_file::{Entry, Float, Source};

/// Longest header that is accepted, bytes: the limit of the safetensors crate.
const MAX_HEADER: u64 = 100_000_000;

pub(super) struct SafeTensors<R> {
    data: R,
    entries: BTreeMap<String, Entry>,
    /// Where each tensor's bytes start.
    offsets: BTreeMap<String, u64>,
}

impl<R: Read + Seek> SafeTensors<R> {
    /// Reads and checks the header; also gives the file's key–value pairs.
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
                "its header claims {size} bytes of {length}; is it a safetensors or PyTorch file, \
                 and complete?"
            ));
        }
        let mut header = Vec::new();
        data.by_ref()
            .take(size)
            .read_to_end(&mut header)
            .map_err(|error| error.to_string())?;
        // Checks that the tensors' places follow each other and fit their shapes.
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| error.to_string())?;
        let start = 8 + size;
        let wanted = start + header.data_len() as u64;
        if wanted != length {
            return Err(format!(
                "its tensors need {wanted} bytes and it has {length}; it was cut short or damaged"
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

impl<R: Read + Seek + Send> Source for SafeTensors<R> {
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
