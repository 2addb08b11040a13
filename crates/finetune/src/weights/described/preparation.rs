//! How the publisher of weights prepares images.

use finetune_data::{Filter, Normalization};
use finetune_model::Architecture;
use serde::{Deserialize, Serialize};

/// How images are prepared for weights, as their publisher says it. What it does not say is that of the
/// architecture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Where that is said: "`config.json` beside it".
    pub place: String,
    /// How pixel values are normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Side of the images in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// How images are resized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Fraction of the resized image's side that the centre crop retains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f32>,
}

impl Preparation {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            place: _,
            normalization,
            image_size,
            filter,
            crop,
        } = self;
        normalization.is_none() && image_size.is_none() && filter.is_none() && crop.is_none()
    }

    /// The architecture with what is said about images; its image size stays.
    #[must_use]
    pub fn applied(&self, architecture: &Architecture) -> Architecture {
        architecture.prepared(
            self.normalization.unwrap_or(architecture.normalization),
            self.filter.unwrap_or(architecture.filter),
            self.crop
                .filter(|crop| *crop > 0.0 && *crop <= 1.0)
                .unwrap_or(architecture.crop),
        )
    }

    /// What of it is not as usual for the architecture, in words.
    #[must_use]
    pub fn differences(&self, architecture: &Architecture) -> Vec<&'static str> {
        let applied = self.applied(architecture);
        let differs = [
            (
                applied.normalization != architecture.normalization,
                "mean and std",
            ),
            (applied.filter != architecture.filter, "filter"),
            ((applied.crop - architecture.crop).abs() > 1e-3, "crop"),
            (
                self.image_size
                    .is_some_and(|size| size != architecture.image_size),
                "size",
            ),
        ];
        let differs = differs.into_iter().filter(|(differs, _)| *differs);
        differs.map(|(_, what)| what).collect()
    }
}
