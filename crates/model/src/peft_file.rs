//! HF PEFT's adapter folders: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use burn::tensor::Device;
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::state::to_safetensors;
use finetune_methods::{Adapted, Method};

use crate::checkpoint::{Checkpoint, Head};
use crate::error::ModelError;
use crate::networks::Network;
use crate::registry::Architecture;
use crate::save::write_whole;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// Whether a folder holds a PEFT adapter.
#[must_use]
pub fn is_peft(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// Writes a network's adapters and head as PEFT does, under a library's names (those of the
/// architecture's first one unless said otherwise). Returns the two files' size in bytes.
///
/// # Errors
///
/// [`ModelError::UnknownLibrary`], [`ModelError::Method`] with what PEFT has no form for, and
/// [`ModelError::Io`].
pub fn save_peft(
    network: &Network,
    method: &Method,
    architecture: &Architecture,
    library: Option<&str>,
    folder: &Path,
) -> Result<u64, ModelError> {
    let name = architecture.names(library)?;
    let adapter = HfPeftAdapter::of(network, method, names(architecture, &name))?;
    let config = adapter.config_text();
    let bytes = to_safetensors(
        &adapter.tensors,
        &[("format".to_owned(), "pt".to_owned())].into(),
    )?;
    std::fs::create_dir_all(folder).map_err(|source| ModelError::Io {
        action: "write",
        path: folder.to_owned(),
        source,
    })?;
    let tensors = write_whole(&folder.join(TENSORS), |path| std::fs::write(path, &bytes))?;
    let config = write_whole(&folder.join(CONFIG), |path| std::fs::write(path, &config))?;
    Ok(tensors + config)
}

/// A network with a checkpoint's weights and a PEFT adapter on them, and the method that can go on
/// training it. Whose names the adapter has is found out.
///
/// # Errors
///
/// [`ModelError::Io`] where a file cannot be read, [`ModelError::Mismatch`] where the checkpoint does
/// not fit, and [`ModelError::Adapter`] with what of the adapter is not supported or does not fit.
pub fn load_peft(
    checkpoint: &mut Checkpoint,
    architecture: &Architecture,
    folder: &Path,
    device: &Device,
) -> Result<(Adapted<Network>, Method), ModelError> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|source| ModelError::Io {
            action: "read",
            path,
            source,
        })
    };
    let says = |source| ModelError::Adapter {
        folder: folder.to_owned(),
        source,
    };
    let config = String::from_utf8_lossy(&read(CONFIG)?).into_owned();
    let adapter = HfPeftAdapter::parse(&config, &read(TENSORS)?).map_err(says)?;
    let stored = checkpoint.shapes();
    let mut first_error = None;
    for name in architecture.all_names() {
        let weight = name(&format!("{}.weight", architecture.head));
        let own = format!(".{weight}");
        let mut tensors = adapter.tensors.iter();
        let head = tensors.find(|tensor| tensor.path.ends_with(&own));
        let of_base = || {
            architecture
                .all_names()
                .find_map(|name| stored.get(&name(&format!("{}.weight", architecture.head))))
        };
        let (shape, kind) = match head {
            Some(tensor) => (Some(&tensor.shape), Head::New { seed: 0 }),
            None => (of_base(), Head::Stored),
        };
        let classes = shape.and_then(|shape| shape.first()).copied().unwrap_or(1);
        let network = checkpoint
            .load(architecture, classes, kind, device)?
            .network;
        match adapter.clone().attach(network, names(architecture, &name)) {
            Ok(attached) => return Ok(attached),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(match first_error {
        Some(error) => says(error),
        None => ModelError::Format {
            origin: folder.display().to_string(),
            reason: format!("no library's names of `{}` are known", architecture.name),
        },
    })
}

fn names<'a>(architecture: &Architecture, name: &'a fn(&str) -> String) -> Names<'a> {
    Names {
        head: architecture.head,
        name,
    }
}
