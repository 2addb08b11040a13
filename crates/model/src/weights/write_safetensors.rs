//! Writing safetensors files with the names of PyTorch's libraries, whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use finetune_methods::merge;
use safetensors::tensor::{Dtype, View};

use crate::error::ModelError;
use crate::networks::{Architecture, Dialect, Network};
use crate::weights::state_dict::{StateTensor, collect};

/// Writes the whole network, with its adapters merged, to a safetensors file that PyTorch can load.
/// Returns the size of the file in bytes.
///
/// # Errors
///
/// [`ModelError::Io`] if the file cannot be written; no part of it is left then.
/// [`ModelError::Method`] if an adapter cannot be merged.
pub fn save_network(
    network: &Network,
    architecture: &Architecture,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64, ModelError> {
    write_safetensors(state_dict(network, architecture)?, metadata, path)
}

/// All tensors of a network, with its adapters merged, in the layout of PyTorch and with the names of the
/// first [library](crate::networks::Spec::libraries) of the architecture.
///
/// # Errors
///
/// [`ModelError::Method`] if an adapter cannot be merged.
pub fn state_dict(
    network: &Network,
    architecture: &Architecture,
) -> Result<Vec<StateTensor>, ModelError> {
    in_dialect(network, architecture, architecture.dialect(None)?)
}

/// As [`state_dict`], with the names of another library, e.g. `timm`.
///
/// # Errors
///
/// [`ModelError::UnknownLibrary`] if its names for the architecture are not known, and
/// [`ModelError::Method`] if an adapter cannot be merged.
pub fn state_dict_of(
    network: &Network,
    architecture: &Architecture,
    library: &str,
) -> Result<Vec<StateTensor>, ModelError> {
    in_dialect(network, architecture, architecture.dialect(Some(library))?)
}

fn in_dialect(
    network: &Network,
    architecture: &Architecture,
    dialect: Dialect,
) -> Result<Vec<StateTensor>, ModelError> {
    Ok(collect(
        &merge(&network.valid())?,
        architecture.head,
        dialect,
    ))
}

/// Writes tensors to a safetensors file: under a temporary name, synced, then renamed. Returns the size of
/// the file in bytes.
///
/// # Errors
///
/// [`ModelError::Io`] if the file cannot be written.
pub fn write_safetensors(
    tensors: Vec<StateTensor>,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64, ModelError> {
    // The order of the pairs is random, so only files with a single pair are always the same bytes.
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let views = tensors
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor));
    write_whole(path, |temporary| {
        safetensors::serialize_to_file(views, Some(metadata), temporary)
            .map_err(std::io::Error::other)
    })
}

/// Writes a file whole or not at all. Returns its size in bytes.
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
