//! What a weights file says about itself.

use std::collections::BTreeMap;
use std::path::Path;

use finetune_data::{Filter, Fit, Normalization};
use finetune_model::{Architecture, WeightsFile};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The metadata's key in a safetensors file.
const KEY: &str = "finetune";

/// The most bytes of a file with metadata: those of about a million classes.
const MOST: u64 = 64 << 20;

/// The largest side of images that is believed, pixels.
const LARGEST_SIDE: usize = 1 << 14;

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
    /// How pictures that are not square are fitted to the side; left out if they are cropped, as earlier
    /// versions did it.
    #[serde(default, skip_serializing_if = "is_crop")]
    pub fit: Fit,
    /// Fraction of the resized image's side that the centre crop retains, with [`Fit::Crop`].
    #[serde(default = "whole")]
    pub crop: f32,
    /// The weights that it was trained from, in files for other programs: a repository of the Hugging Face
    /// Hub or a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_crop(fit: &Fit) -> bool {
    *fit == Fit::Crop
}

fn whole() -> f32 {
    1.0
}

impl Metadata {
    /// The metadata of a model for these classes and for pictures that are cropped.
    #[must_use]
    pub fn new(architecture: &Architecture, method: &str, classes: Vec<String>) -> Self {
        Self {
            model: architecture.name.to_owned(),
            method: method.to_owned(),
            classes,
            image_size: architecture.image_size,
            normalization: architecture.normalization,
            filter: architecture.filter,
            fit: Fit::Crop,
            crop: architecture.crop,
            base: None,
        }
    }

    /// The same for pictures that are fitted in another way.
    #[must_use]
    pub fn fitted(self, fit: Fit) -> Self {
        Self { fit, ..self }
    }

    /// The same, which says what the model was trained from.
    #[must_use]
    pub fn based_on(self, base: Option<&str>) -> Self {
        let base = base.map(ToOwned::to_owned);
        Self { base, ..self }
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
        let metadata: Self = serde_json::from_str(text).map_err(|source| Error::Metadata {
            origin: origin(),
            source,
        })?;
        metadata.check(&origin())?;
        Ok(metadata)
    }

    /// The metadata of the weights file at `path`: its own, or those in the JSON file of the same name
    /// beside a PyTorch file, as [`export`](crate::folder::export) writes it. The latter may belong to
    /// other weights, so it counts only if its model and its number of classes are those of the file.
    #[must_use]
    pub fn describing(checkpoint: &WeightsFile, path: &Path) -> Option<Self> {
        if let Ok(metadata) = Self::of(checkpoint) {
            return Some(metadata);
        }
        let beside = path.with_extension("json");
        if beside == path {
            return None;
        }
        let text = finetune_files::read_text(&beside, MOST).ok()?;
        let metadata: Self = serde_json::from_str(&text).ok()?;
        metadata.check("").ok()?;
        let understood = checkpoint.understand_as(&metadata.model)?;
        (understood.classes == Some(metadata.classes.len())).then_some(metadata)
    }

    /// Checks the values that are computed with: a file may claim anything.
    fn check(&self, origin: &str) -> Result<(), Error> {
        let positive = |value: f32| value.is_finite() && value > 0.0;
        let Normalization { mean, std } = self.normalization;
        let wrong = if self.image_size == 0 || self.image_size > LARGEST_SIDE {
            format!("images of {} pixels", self.image_size)
        } else if !positive(self.crop) || self.crop > 1.0 {
            format!("a crop of {}", self.crop)
        } else if !mean.iter().all(|value| value.is_finite()) || !std.into_iter().all(positive) {
            "a normalisation that is not finite or divides by 0".to_owned()
        } else {
            return Ok(());
        };
        let source = serde_json::Error::io(std::io::Error::other(format!("it says {wrong}")));
        Err(Error::Metadata {
            origin: origin.to_owned(),
            source,
        })
    }
}
