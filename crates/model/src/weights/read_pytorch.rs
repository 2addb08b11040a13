//! PyTorch's own files (`.pth`, `.pt`): zip, legacy stream and tar, read by the reader of burn-store.
//!
//! The reader interprets the tensors and dictionaries of the pickle and runs nothing. The weights may be
//! at the top level or under one of the usual keys.

use std::collections::BTreeMap;
use std::path::Path;

use pytorch_reader::{DType, PytorchReader, Tensor};

use super::tensor_file::{Entry, Float, TensorFile};

/// Keys under which training scripts store weights.
const KEYS: [&str; 5] = [
    "state_dict",
    "model_state_dict",
    "model",
    "state_dict_ema",
    "model_ema",
];

/// Prefixes that wrappers add to all names.
const PREFIXES: [&str; 3] = ["module.", "_orig_mod.", "model."];

pub(super) struct PyTorch {
    tensors: BTreeMap<String, Tensor>,
    entries: BTreeMap<String, Entry>,
}

/// Whether these are the first bytes of a zip, a pickle or a tar of PyTorch.
///
/// A safetensors file begins with the length of its header. The low bytes of the length may be those of
/// a pickle, but then the brace of the header follows.
pub(super) fn is_pytorch(start: &[u8]) -> bool {
    if start.len() > 8 && start[4..9] == *b"\0\0\0\0{" {
        return false;
    }
    // A pickle of protocol 2 to 5; a tar begins with the name of its first file.
    start.starts_with(b"PK\x03\x04")
        || (start.len() > 1 && start[0] == 0x80 && (2..=5).contains(&start[1]))
        || start.starts_with(b"./sys_info")
        || start.starts_with(b"sys_info")
}

impl PyTorch {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let reader = PytorchReader::new(path).map_err(|error| explain(&error.to_string()))?;
        let mut tensors: BTreeMap<String, Tensor> = reader.into_tensors().into_iter().collect();
        if let Some(key) = KEYS
            .iter()
            .map(|key| format!("{key}."))
            .find(|key| tensors.keys().any(|name| name.starts_with(key)))
        {
            // Leaves out what else the training script stored, such as the moments of an optimiser.
            tensors = tensors
                .into_iter()
                .filter_map(|(name, tensor)| Some((name.strip_prefix(&key)?.to_owned(), tensor)))
                .collect();
        }
        while let Some(prefix) = PREFIXES
            .iter()
            .find(|prefix| !tensors.is_empty() && tensors.keys().all(|n| n.starts_with(*prefix)))
        {
            tensors = tensors
                .into_iter()
                .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
                .collect();
        }
        if tensors.is_empty() {
            return Err("it has no tensors".to_owned());
        }
        let entries = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), entry(tensor)))
            .collect();
        Ok(Self { tensors, entries })
    }
}

fn entry(tensor: &Tensor) -> Entry {
    Entry {
        shape: tensor.shape().to_vec(),
        float: match tensor.dtype() {
            DType::F64 => Some(Float::F64),
            DType::F32 => Some(Float::F32),
            DType::F16 => Some(Float::F16),
            DType::BF16 => Some(Float::Bf16),
            _ => None,
        },
        dtype: format!("{:?}", tensor.dtype()),
    }
}

/// The first line of the message of the reader, and what the file should be.
fn explain(reason: &str) -> String {
    let reason = reason
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    format!("{reason}; it should be a state dict written by torch.save")
}

impl TensorFile for PyTorch {
    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        let (Some(entry), Some(tensor)) = (self.entries.get(name), self.tensors.get(name)) else {
            return Err(format!("it has no tensor `{name}`"));
        };
        let float = entry.float(name)?;
        let (_, row) = entry.rows();
        let bytes = tensor.read().map_err(|error| error.to_string())?;
        let mut values = Vec::new();
        let part = (count * row * float.width()).max(1);
        for (index, bytes) in bytes.chunks(part).enumerate() {
            float.widen(bytes, &mut values);
            each(index * count, &values);
        }
        Ok(())
    }
}
