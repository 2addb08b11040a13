//! Adapters as HF PEFT keeps them: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! What is written here PEFT loads onto the same base model and computes the same, and the other way
//! round. PEFT's own limits are refused by name rather than written wrongly: its `LoRA` drops a
//! convolution's dilation, its `VeRA` and `SHiRA` know Linear layers only, and its `DoRA` no groups.
//! Where PEFT has no type for a low-rank method (the sparse shared one, `VeRA` on convolutions) it
//! is written as the `LoRA` that it equals. An `A` of a grouped convolution, which PEFT keeps
//! ungrouped, is written block by block on the diagonal.
//!
//! Written against PEFT 0.21.2.

mod read;
mod settings;
mod write;

use burn::module::{Module, ModuleDisplay};
use serde_json::{Map, Value};

use crate::attach::{Attached, Method};
use crate::error::MethodError;
use crate::state::TrainedTensor;

/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

/// How a model's tensors are called in `PyTorch`.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Path of the head, in Burn's names.
    pub head: &'a str,
    /// The name of a tensor from its path in Burn's names, with a normalisation's `gamma` and `beta`
    /// already called `weight` and `bias`.
    pub name: &'a dyn Fn(&str) -> String,
}

impl std::fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl<'a> Names<'a> {
    /// The same names as in Burn.
    #[must_use]
    pub fn same(head: &'a str) -> Self {
        Self {
            head,
            name: &|path| path.to_owned(),
        }
    }

    /// The name of a tensor whose path is `path`.
    fn of(&self, path: &str) -> String {
        match path.rsplit_once('.') {
            Some((layer, "gamma")) => (self.name)(&format!("{layer}.weight")),
            Some((layer, "beta")) => (self.name)(&format!("{layer}.bias")),
            _ => (self.name)(path),
        }
    }

    /// The name of a layer.
    fn layer(&self, path: &str) -> Result<String, MethodError> {
        let weight = (self.name)(&format!("{path}.weight"));
        match weight.strip_suffix(".weight") {
            Some(layer) => Ok(layer.to_owned()),
            None => Err(MethodError::NotInPeft {
                reason: format!("`{weight}` is not the weight of a layer of its own"),
            }),
        }
    }
}

/// An adapter in PEFT's format: the contents of its two files.
#[derive(Debug, Clone, PartialEq)]
pub struct PeftAdapter {
    /// `adapter_config.json`.
    pub config: Map<String, Value>,
    /// `adapter_model.safetensors`.
    pub tensors: Vec<TrainedTensor>,
}

impl PeftAdapter {
    /// What a model's adapters and its trained head are in PEFT.
    ///
    /// # Errors
    ///
    /// [`MethodError::NotInPeft`] with the first thing that PEFT has no form for.
    pub fn of<M: Module + ModuleDisplay>(
        model: &M,
        method: &Method,
        names: Names<'_>,
    ) -> Result<Self, MethodError> {
        write::export(model, method, names)
    }

    /// Reads the two files' contents.
    ///
    /// # Errors
    ///
    /// [`MethodError::PeftConfig`] and [`MethodError::Bytes`].
    pub fn parse(config: &str, tensors: &[u8]) -> Result<Self, MethodError> {
        let config = serde_json::from_str(config).map_err(|error| MethodError::PeftConfig {
            reason: error.to_string(),
        })?;
        let tensors = crate::state::from_safetensors(tensors)?;
        Ok(Self { config, tensors })
    }

    /// The text of `adapter_config.json`.
    #[must_use]
    pub fn config_text(&self) -> String {
        format!("{:#}", Value::Object(self.config.clone()))
    }

    /// Puts the adapter on a plain model, as `from_pretrained` does in PEFT; and the method that can
    /// go on training it.
    ///
    /// # Errors
    ///
    /// [`MethodError::PeftConfig`] for what is not supported, and [`MethodError::OtherBase`] with the
    /// first tensor that does not fit the model.
    pub fn attach<M: Module + ModuleDisplay>(
        self,
        model: M,
        names: Names<'_>,
    ) -> Result<(Attached<M>, Method), MethodError> {
        read::import(self, model, names)
    }
}
