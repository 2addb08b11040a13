//! What a weights file says about itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use finetune_data::{Filter, Normalization};
use finetune_model::{Architecture, WeightsFile};
use serde::{Deserialize, Serialize};

/// Enough to use a weights file without anything else. It is written as one JSON value under the
/// key `finetune`, beside `format` = `pt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The model's name.
    pub model: String,
    /// The method's name, or `pretrain`.
    pub method: String,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// How values are normalised.
    pub normalization: Normalization,
    /// How images are resized.
    #[serde(default)]
    pub filter: Filter,
    /// Share of the resized image's side that the centre crop keeps.
    #[serde(default = "whole")]
    pub crop: f32,
}

fn whole() -> f32 {
    1.0
}

impl Metadata {
    /// Of a model for these classes.
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

    /// As the key–value pairs of a safetensors file.
    ///
    /// # Errors
    ///
    /// What serde may say of values that cannot be JSON.
    pub fn to_map(&self) -> Result<BTreeMap<String, String>> {
        Ok([("finetune".to_owned(), serde_json::to_string(self)?)].into())
    }

    /// Reads it from a checkpoint.
    ///
    /// # Errors
    ///
    /// Where the file has none.
    pub fn of(checkpoint: &WeightsFile) -> Result<Self> {
        let metadata = checkpoint.metadata();
        let text = metadata
            .get("finetune")
            .with_context(|| format!("{} was not written by finetune", checkpoint.origin()))?;
        serde_json::from_str(text)
            .with_context(|| format!("{} says strange things about itself", checkpoint.origin()))
    }
}
