//! Writing weights: safetensors with PyTorch's names, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use finetune_methods::merge;
use safetensors::tensor::{Dtype, View};

use crate::error::ModelError;
use crate::networks::Architecture;
use crate::networks::Network;
use crate::weights::state_dict::{StateTensor, collect};

/// Writes the whole network, adapters merged, to a safetensors file that PyTorch loads.
///
/// Returns the file's size in bytes.
///
/// # Errors
///
/// [`ModelError::Io`] where the file cannot be written (nothing is left half-written), and
/// [`ModelError::Method`] where an adapter cannot be merged.
pub fn save_network(
    network: &Network,
    architecture: &Architecture,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64, ModelError> {
    write_safetensors(state_dict(network, architecture)?, metadata, path)
}

/// The whole network's tensors, adapters merged, under the names of the architecture's first
/// [library](Architecture::libraries) and in PyTorch's layout.
///
/// # Errors
///
/// [`ModelError::Method`] where an adapter cannot be merged.
pub fn state_dict(
    network: &Network,
    architecture: &Architecture,
) -> Result<Vec<StateTensor>, ModelError> {
    in_dialect(network, architecture.names(None)?)
}

/// The same under the names of another library that knows the architecture, e.g. `timm`.
///
/// # Errors
///
/// [`ModelError::UnknownLibrary`] where it does not know it, and [`ModelError::Method`] where an
/// adapter cannot be merged.
pub fn state_dict_of(
    network: &Network,
    architecture: &Architecture,
    library: &str,
) -> Result<Vec<StateTensor>, ModelError> {
    in_dialect(network, architecture.names(Some(library))?)
}

fn in_dialect(network: &Network, name: fn(&str) -> String) -> Result<Vec<StateTensor>, ModelError> {
    Ok(collect(&merge(&network.valid())?, name))
}

/// Writes tensors to a safetensors file: to a temporary name, synced, then renamed.
///
/// Returns the file's size in bytes.
///
/// # Errors
///
/// [`ModelError::Io`] where the file cannot be written.
pub fn write_safetensors(
    tensors: Vec<StateTensor>,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64, ModelError> {
    // The format's maps are unordered; one key–value pair a file keeps it the same to the byte.
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let views = tensors
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor));
    write_whole(path, |temporary| {
        safetensors::serialize_to_file(views, Some(metadata), temporary)
            .map_err(std::io::Error::other)
    })
}

/// Has a file written, whole or not at all. Returns its size in bytes.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<u64, ModelError> {
    finetune_files::write_whole(path, write).map_err(|source| ModelError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

impl View for StateTensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.values.to_le_bytes()
    }

    fn data_len(&self) -> usize {
        self.values.len() * 4
    }
}
