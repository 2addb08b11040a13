//! Writing PyTorch's own format: a zip with a pickle that names tensors and nothing else.
//!
//! The pickle is one `OrderedDict` of `torch._utils._rebuild_tensor_v2` calls, which
//! `torch.load(weights_only=True)` allows. The zip has the files that `torch.save` writes since PyTorch
//! 1.6: `archive/data.pkl`, `archive/data/0`, …, `archive/version`.

use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::ModelError;
use crate::weights::state_dict::StateTensor;
use crate::weights::write_safetensors::write_whole;

/// Writes tensors to a `.pth` file: under a temporary name, synced, then renamed. Returns the size of the
/// file in bytes.
///
/// The same tensors always give the same bytes.
///
/// # Errors
///
/// [`ModelError::Io`] if the file cannot be written.
pub fn write_pth(tensors: &[StateTensor], path: &Path) -> Result<u64, ModelError> {
    write_whole(path, |temporary| {
        let mut zip = ZipWriter::new(std::fs::File::create(temporary)?);
        // Aligned as in PyTorch, so that the storages can be mapped into memory.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(64);
        zip.start_file("archive/data.pkl", options)?;
        zip.write_all(&pickle(tensors))?;
        zip.start_file("archive/byteorder", options)?;
        zip.write_all(b"little")?;
        for (index, tensor) in tensors.iter().enumerate() {
            let large = tensor.values.len() >= (1 << 30) - 1;
            zip.start_file(format!("archive/data/{index}"), options.large_file(large))?;
            for part in tensor.values.chunks(1 << 16) {
                let bytes: Vec<u8> = part.iter().flat_map(|value| value.to_le_bytes()).collect();
                zip.write_all(&bytes)?;
            }
        }
        zip.start_file("archive/version", options)?;
        zip.write_all(b"3\n")?;
        zip.finish()?;
        Ok(())
    })
}

/// `OrderedDict((name, _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())), …)`
/// in pickle protocol 2.
fn pickle(tensors: &[StateTensor]) -> Vec<u8> {
    const EMPTY_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut out = b"\x80\x02".to_vec();
    out.extend_from_slice(EMPTY_DICT);
    out.push(b'(');
    for (index, tensor) in tensors.iter().enumerate() {
        string(&mut out, &tensor.name);
        out.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        // The storage, by its persistent id.
        out.push(b'(');
        string(&mut out, "storage");
        out.extend_from_slice(b"ctorch\nFloatStorage\n");
        string(&mut out, &index.to_string());
        string(&mut out, "cpu");
        integer(&mut out, tensor.values.len());
        out.extend_from_slice(b"tQ");
        integer(&mut out, 0);
        tuple(&mut out, &tensor.shape);
        let mut strides = vec![1; tensor.shape.len()];
        for axis in (1..strides.len()).rev() {
            strides[axis - 1] = strides[axis] * tensor.shape[axis];
        }
        tuple(&mut out, &strides);
        // No gradient and no hooks.
        out.push(0x89);
        out.extend_from_slice(EMPTY_DICT);
        out.extend_from_slice(b"tR");
    }
    out.extend_from_slice(b"u.");
    out
}

#[allow(clippy::cast_possible_truncation)]
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    // Names are far shorter than 4 GiB.
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: usize) {
    if let Ok(small) = i32::try_from(value) {
        out.push(b'J');
        out.extend_from_slice(&small.to_le_bytes());
    } else {
        // LONG1: the length, then the value in little-endian two's complement.
        out.extend_from_slice(&[0x8a, 9]);
        out.extend_from_slice(&(value as u64).to_le_bytes());
        out.push(0);
    }
}

fn tuple(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'(');
    for value in values {
        integer(out, *value);
    }
    out.push(b't');
}
