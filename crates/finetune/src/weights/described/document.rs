//! What the readers of configurations have in common: what they return, and how values are read.

use finetune_data::{Filter, Normalization};
use finetune_files::quoted;
use finetune_model::Architecture;
use serde_json::{Map, Value};

use super::preparation::Preparation;

/// What the publisher says about a weights file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Which network it says the weights are of.
    pub network: Option<Claim>,
    /// How it says that images are prepared.
    pub preparation: Option<Preparation>,
}

/// Which network a configuration says that weights are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name that it has for the network: `vit_small_patch14_dinov2`, `dinov2`.
    pub name: String,
    /// The library that has this name.
    pub library: &'static str,
    /// Where that is said: "`config.json` beside it".
    pub place: String,
    /// Names of architectures that the name stands for; empty if none does.
    pub architectures: Vec<&'static str>,
    /// Architectures that the name stands for as well, but not with the settings of the configuration.
    pub others: Vec<Other>,
}

/// An architecture that a configuration contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub architecture: &'static str,
    /// The first of its settings that differ: "`hidden_size` 768 instead of 384".
    pub difference: String,
}

impl Claim {
    /// For sentences: "`config.json` beside it says `dinov2` (transformers)".
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "{} says {} ({})",
            self.place,
            quoted(&self.name),
            self.library
        )
    }
}

/// One configuration: its text and where it is.
pub(super) struct Document {
    pub(super) place: String,
    pub(super) values: Map<String, Value>,
}

/// The architectures of these names or aliases.
pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'static str> {
    let found = names
        .into_iter()
        .filter_map(|name| Architecture::find(name).ok());
    found.map(|architecture| architecture.name).collect()
}

/// A whole number of a configuration.
pub(super) fn whole(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

#[allow(clippy::cast_possible_truncation)]
pub(super) fn float(value: &Value) -> Option<f32> {
    value.as_f64().map(|value| value as f32)
}

/// A number per channel, or one for all.
pub(super) fn channels(value: Option<&Value>) -> Option<[f32; 3]> {
    match value? {
        Value::Array(values) => match values.as_slice() {
            [one] => Some([float(one)?; 3]),
            [red, green, blue] => Some([float(red)?, float(green)?, float(blue)?]),
            _ => None,
        },
        one => Some([float(one)?; 3]),
    }
}

pub(super) fn normalization(mean: Option<&Value>, std: Option<&Value>) -> Option<Normalization> {
    let (mean, std) = (channels(mean)?, channels(std)?);
    std.iter()
        .chain(&mean)
        .all(|value| value.is_finite())
        .then_some(Normalization { mean, std })
        .filter(|normalization| normalization.std.iter().all(|std| *std > 0.0))
}

/// The filter of this name; the nearest one for those that are not here.
pub(super) fn filter(name: &str) -> Option<Filter> {
    match name {
        "bilinear" | "random" | "box" | "hamming" => Some(Filter::Bilinear),
        "bicubic" | "lanczos" => Some(Filter::Bicubic),
        _ => None,
    }
}
