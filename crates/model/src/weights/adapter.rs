//! Files of what was trained only, to be loaded onto the base weights again.

use std::collections::BTreeMap;
use std::path::Path;

use finetune_files::quoted_path;
use finetune_methods::state::{from_safetensors, to_safetensors};
use finetune_methods::{MethodError, load, trained};

use crate::error::ModelError;
use crate::networks::Network;
use crate::weights::write_safetensors::write_whole;

/// Writes all tensors that the method of a network trained ([`trained`]). Returns the size of the file in
/// bytes.
///
/// # Errors
///
/// [`ModelError::Io`] if the file cannot be written.
pub fn save_adapter(
    network: &Network,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64, ModelError> {
    let bytes = to_safetensors(&trained(network), metadata)?;
    write_whole(path, |temporary| std::fs::write(temporary, &bytes))
}

/// Loads the tensors of a saved adapter into a network that the same method was attached to.
///
/// # Errors
///
/// [`ModelError::Io`] if the file cannot be read, and [`ModelError::Mismatch`] if a trained tensor of the
/// network is missing from the file, has another shape there, or the file has other tensors.
pub fn load_adapter(network: Network, path: &Path) -> Result<Network, ModelError> {
    let bytes = finetune_files::read(path, u64::MAX).map_err(|source| ModelError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let origin = || quoted_path(path);
    let tensors = from_safetensors(&bytes).map_err(|error| ModelError::Format {
        origin: origin(),
        reason: error.to_string(),
    })?;
    load(network, tensors).map_err(|error| match error {
        MethodError::OtherBase { difference } => ModelError::Mismatch {
            origin: origin(),
            model: "this adapter".to_owned(),
            details: difference,
        },
        other => other.into(),
    })
}
