//! Adapter folders of HF PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use burn::tensor::Device;
use finetune_files::quoted_path;
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::state::to_safetensors;
use finetune_methods::{Adapted, Method, MethodError, parameters_lazily};

use crate::error::ModelError;
use crate::networks::Architecture;
use crate::networks::Network;
use crate::networks::classifier::in_sequence;
use crate::weights::weights_file::{Head, WeightsFile};
use crate::weights::write_safetensors::write_whole;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// The largest `adapter_config.json`, bytes: a thousand times what PEFT writes.
const LARGEST_CONFIG: u64 = 1 << 24;

/// The most classes of a head that is not compared with that of the base.
const MOST_CLASSES: usize = 1 << 20;

/// The classes of transformers whose heads take averages of patches. Of the same towers, timm's and those
/// here take the token or the pooling that they were pretrained with.
const POOLS: [&str; 6] = [
    "CLIPForImageClassification",
    "Dinov2ForImageClassification",
    "Dinov2WithRegistersForImageClassification",
    "MetaClip2ForImageClassification",
    "Siglip2ForImageClassification",
    "SiglipForImageClassification",
];

/// Whether a folder has an adapter of HF PEFT.
#[must_use]
pub fn is_peft(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// What an adapter calls things.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeftNames<'a> {
    /// The library whose names its layers get; `None` is the first library of the architecture.
    pub library: Option<&'a str>,
    /// The base weights, for `base_model_name_or_path`: a repository of the Hugging Face Hub or a file.
    pub base: Option<&'a str>,
}

/// Writes the adapters and the head of a network as HF PEFT does. Returns the size of both files in bytes.
///
/// # Errors
///
/// [`ModelError::UnknownLibrary`] if the names of the library are not known, [`ModelError::Method`] if HF
/// PEFT cannot represent the adapters, and [`ModelError::Io`] if a file cannot be written.
pub fn save_peft(
    network: &Network,
    method: &Method,
    architecture: &Architecture,
    called: PeftNames<'_>,
    folder: &Path,
) -> Result<u64, ModelError> {
    let name = in_files(architecture, architecture.names(called.library)?);
    let mut adapter = HfPeftAdapter::of(network, method, names(architecture, &name))?;
    if let Some(base) = called.base {
        (adapter.config).insert("base_model_name_or_path".to_owned(), base.into());
    }
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
/// If the library has layers in parts, as transformers has queries, keys and values, adapters of some of
/// them become one of the whole layer: see [`HfPeftAdapter::attach`].
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
    // The names that most layers of the adapter have.
    let parameters = parameters_lazily(&architecture.uninitialized(1, device));
    let all = architecture.all_names();
    let names_of = all.map(|name| in_files(architecture, name));
    let name = names_of.min_by_key(|name| {
        let found = adapter.layers_of(&parameters, names(architecture, name));
        std::cmp::Reverse(found)
    });
    let name = name.ok_or_else(|| ModelError::Format {
        origin: quoted_path(folder),
        reason: format!(
            "no names of a library for `{}` are known",
            architecture.name
        ),
    })?;
    let names = names(architecture, &name);
    let (classes, head) = head(weights, architecture, &adapter, names).map_err(rejected)?;
    let network = weights.load(architecture, classes, head, device)?.network;
    adapter.attach(network, names).map_err(rejected)
}

/// How many classes there are, and where the head is: in the adapter or in the weights of its base.
fn head(
    weights: &WeightsFile,
    architecture: &Architecture,
    adapter: &HfPeftAdapter,
    names: Names<'_>,
) -> Result<(usize, Head), MethodError> {
    let path = format!("{}.weight", architecture.head);
    let weight = (names.name)(&path);
    let own = format!(".{weight}");
    let stored = weights.shapes();
    let of_base = || {
        let prefix = weights.understand_as(architecture.name)?.prefix;
        let mut all = architecture.all_names();
        all.find_map(|name| stored.get(&format!("{prefix}{}", name(&path))))
    };
    let mut tensors = adapter.tensors.iter();
    let Some(tensor) = tensors.find(|tensor| tensor.path.ends_with(&own)) else {
        let classes = of_base().and_then(|shape| shape.first()).copied();
        return Ok((classes.unwrap_or(1), Head::Stored));
    };
    if let Some(model) = adapter.base_model().filter(|model| POOLS.contains(model)) {
        return Err(MethodError::OtherBase {
            difference: format!(
                "its head is that of {model}, which takes other features than `{}` here",
                architecture.name
            ),
        });
    }
    // A network with so many classes is built before the tensor is compared with it.
    let inputs = of_base().and_then(|shape| shape.get(1));
    match tensor.shape[..] {
        [classes @ 1..=MOST_CLASSES, own] if inputs.is_none_or(|inputs| *inputs == own) => {
            Ok((classes, Head::New { seed: 0 }))
        }
        _ => {
            let (name, shape) = (finetune_files::quoted(&tensor.path), &tensor.shape);
            Err(MethodError::OtherBase {
                difference: format!("its head {name} is of shape {shape:?}"),
            })
        }
    }
}

/// From a path to its name in files: the layers of a head with a hidden layer have numbers.
fn in_files(architecture: &Architecture, name: fn(&str) -> String) -> impl Fn(&str) -> String {
    let head = architecture.head;
    move |path| name(&in_sequence(path, head))
}

fn names<'a>(architecture: &Architecture, name: &'a dyn Fn(&str) -> String) -> Names<'a> {
    Names {
        head: architecture.head,
        name,
    }
}
