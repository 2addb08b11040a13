//! Adapter folders of HF PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use burn::tensor::Device;
use finetune_files::quoted_path;
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::state::to_safetensors;
use finetune_methods::{Adapted, Method, MethodError};

use crate::error::ModelError;
use crate::networks::Architecture;
use crate::networks::Network;
use crate::weights::weights_file::{Head, WeightsFile};
use crate::weights::write_safetensors::write_whole;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// The largest `adapter_config.json`, bytes: a thousand times what PEFT writes.
const LARGEST_CONFIG: u64 = 1 << 24;

/// The most classes of a head that is not compared with that of the base.
const MOST_CLASSES: usize = 1 << 20;

/// Whether a folder has an adapter of HF PEFT.
#[must_use]
pub fn is_peft(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// Writes the adapters and the head of a network as HF PEFT does, with the names of `library`, or those of
/// the first library of the architecture. Returns the size of both files in bytes.
///
/// # Errors
///
/// [`ModelError::UnknownLibrary`] if the names of the library are not known, [`ModelError::Method`] if HF
/// PEFT cannot represent the adapters, and [`ModelError::Io`] if a file cannot be written.
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

/// Loads a network with the weights of a file and an adapter of HF PEFT. Also returns the method that can
/// train it further. The names in the adapter may be those of any library that is known.
///
/// # Errors
///
/// [`ModelError::Io`] if a file cannot be read, [`ModelError::Mismatch`] if the weights file does not fit,
/// and [`ModelError::Adapter`] if the adapter is not supported or does not fit.
pub fn load_peft(
    weights: &mut WeightsFile,
    architecture: &Architecture,
    folder: &Path,
    device: &Device,
) -> Result<(Adapted<Network>, Method), ModelError> {
    let failed = |name: &str| {
        let path = folder.join(name);
        |source| ModelError::Io {
            action: "read",
            path,
            source,
        }
    };
    let rejected = |source| ModelError::Adapter {
        folder: folder.to_owned(),
        source,
    };
    let config = finetune_files::read_text(&folder.join(CONFIG), LARGEST_CONFIG);
    let config = config.map_err(failed(CONFIG))?;
    // What is decoded of the tensors is as large as the file.
    let tensors = finetune_files::read(&folder.join(TENSORS), u64::MAX);
    let tensors = tensors.map_err(failed(TENSORS))?;
    let adapter = HfPeftAdapter::parse(&config, &tensors).map_err(rejected)?;
    drop(tensors);
    let stored = weights.shapes();
    let mut first_error = None;
    for name in architecture.all_names() {
        let weight = name(&format!("{}.weight", architecture.head));
        let own = format!(".{weight}");
        let mut tensors = adapter.tensors.iter();
        let head = tensors.find(|tensor| tensor.path.ends_with(&own));
        let of_base = || {
            let prefix = weights.understand_as(architecture.name)?.prefix;
            architecture.all_names().find_map(|name| {
                stored.get(&format!(
                    "{prefix}{}",
                    name(&format!("{}.weight", architecture.head))
                ))
            })
        };
        let (shape, kind) = match head {
            Some(tensor) => {
                // A network with so many classes is built before the tensor is compared with it.
                let inputs = of_base().and_then(|shape| shape.get(1));
                let fits = matches!(tensor.shape[..], [1..=MOST_CLASSES, own]
                    if inputs.is_none_or(|inputs| *inputs == own));
                if !fits {
                    let (name, shape) = (finetune_files::quoted(&tensor.path), &tensor.shape);
                    first_error = first_error.or(Some(MethodError::OtherBase {
                        difference: format!("its head {name} is of shape {shape:?}"),
                    }));
                    continue;
                }
                (Some(&tensor.shape), Head::New { seed: 0 })
            }
            None => (of_base(), Head::Stored),
        };
        let classes = shape.and_then(|shape| shape.first()).copied().unwrap_or(1);
        let network = weights.load(architecture, classes, kind, device)?.network;
        match adapter.clone().attach(network, names(architecture, &name)) {
            Ok(attached) => return Ok(attached),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(match first_error {
        Some(error) => rejected(error),
        None => ModelError::Format {
            origin: quoted_path(folder),
            reason: format!(
                "no names of a library for `{}` are known",
                architecture.name
            ),
        },
    })
}

fn names<'a>(architecture: &Architecture, name: &'a fn(&str) -> String) -> Names<'a> {
    Names {
        head: architecture.head,
        name,
    }
}
