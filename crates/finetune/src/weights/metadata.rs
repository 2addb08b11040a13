//! What a weights file says about itself.

use std::collections::BTreeMap;

use finetune_data::{Filter, Normalization};
use finetune_model::{Architecture, WeightsFile};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The metadata's key in a safetensors file.
const KEY: &str = "finetune";

/// Everything that is needed to use a weights file. It is written as one JSON value under the key
/// `finetune`, next to `format` = `pt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The model's name.
    pub model: String,
    /// The method's name, or `pretrain`.
    pub method: String,
    /// The names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// How pixel values are normalised.
    pub normalization: Normalization,
    /// How images are resized.
    #[serde(default)]
    pub filter: Filter,
    /// Fraction of the resized image's side that the centre crop retains.
    #[serde(default = "whole")]
    pub crop: f32,
}

fn whole() -> f32 {
    1.0
}

impl Metadata {
    /// The metadata of a model for these classes.
    #[must_use]
    pub fn new(architecture: &Architecture, method: &str, classes: Vec<String>) -> Self {
        Self {
            model: architecture.name.to_owned(),
            method: method.to_owned(),
            classes,
            image_size: architecture.image_size,
            normalization: architecture.normalization,
            filter: architecture.filter,
            crop: architecture.crop,
        }
    }

    /// The key–value pairs for a safetensors file.
    ///
    /// # Errors
    ///
    /// A value cannot be written as JSON.
    pub fn to_map(&self) -> Result<BTreeMap<String, String>, Error> {
        Ok([(KEY.to_owned(), serde_json::to_string(self)?)].into())
    }

    /// Reads the metadata of a weights file.
    ///
    /// # Errors
    ///
    /// The file has none, or it is not valid.
    pub fn of(checkpoint: &WeightsFile) -> Result<Self, Error> {
        let origin = || checkpoint.origin().to_owned();
        let metadata = checkpoint.metadata();
        let text = metadata
            .get(KEY)
            .ok_or_else(|| Error::NoMetadata { origin: origin() })?;
        serde_json::from_str(text).map_err(|source| Error::Metadata {
            origin: origin(),
            source,
        })
    }
}
