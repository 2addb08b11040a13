//! Opening one file of tensors: safetensors, or any format of PyTorch.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use finetune_files::quoted_path;

use super::foreign;
use super::pytorch::{PyTorch, is_pytorch};
use super::read_safetensors::SafeTensors;
use super::tensor_file::TensorFile;
use crate::error::ModelError;

/// An open file of tensors and its key–value pairs.
pub(super) struct Opened {
    pub tensors: Box<dyn TensorFile>,
    pub metadata: BTreeMap<String, String>,
}

/// Opens a safetensors or PyTorch file. The first bytes say which of the two it is.
pub(super) fn open(path: &Path) -> Result<Opened, ModelError> {
    // What other formats are recognised by: tar has its name after 257 bytes.
    const START: u64 = 1024;
    let io = |source| ModelError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let (mut file, length) = finetune_files::open(path).map_err(io)?;
    let mut start = Vec::new();
    file.by_ref()
        .take(START)
        .read_to_end(&mut start)
        .map_err(io)?;
    let format = |reason| ModelError::Format {
        origin: quoted_path(path),
        reason,
    };
    if is_pytorch(&start) {
        let tensors = PyTorch::open(file, length, &start).map_err(format)?;
        return Ok(Opened {
            tensors: Box::new(tensors),
            metadata: BTreeMap::new(),
        });
    }
    // A header of safetensors is shorter than 4 GiB, and an object.
    let is_header = start.len() > 8 && start[4..9] == *b"\0\0\0\0{";
    if !is_header && let Some(what) = foreign::what_is(&start, path) {
        return Err(format(what));
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    safetensors(file, length).map_err(format)
}

/// Opens safetensors of `length` bytes. An error is the reason in words.
pub(super) fn safetensors(
    data: impl Read + Seek + Send + 'static,
    length: u64,
) -> Result<Opened, String> {
    let (tensors, metadata) = SafeTensors::open(data, length)?;
    Ok(Opened {
        tensors: Box::new(tensors),
        metadata,
    })
}
