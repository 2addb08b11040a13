//! Writing weights: safetensors with PyTorch's names, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use finetune_methods::merge;
use safetensors::tensor::{Dtype, View};

use crate::error::ModelError;
use crate::networks::Network;
use crate::registry::Architecture;
use crate::state::{StateTensor, collect};

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

/// Has a file written under a temporary name in the same folder, syncs and renames it.
///
/// Returns its size in bytes.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<u64, ModelError> {
    let io = |source| ModelError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    write(temporary.path()).map_err(io)?;
    let file = std::fs::File::open(temporary.path()).map_err(io)?;
    file.sync_all().map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    set_permissions(&temporary).map_err(io)?;
    temporary.persist(path).map_err(|error| io(error.error))?;
    Ok(size)
}

/// Temporary files are private; a checkpoint gets what a newly created file would have.
#[cfg(unix)]
fn set_permissions(file: &tempfile::NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_permissions(_file: &tempfile::NamedTempFile) -> std::io::Result<()> {
    Ok(())
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
