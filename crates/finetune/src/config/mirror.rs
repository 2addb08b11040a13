//! Whether training images are mirrored.

use serde::{Deserialize, Serialize};

/// Whether training images are mirrored if the augmentation mirrors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    /// As the augmentation says.
    #[default]
    Set,
    /// Not if the names of the images and their classes speak of digits, letters or signs: see
    /// [`RunConfig::not_mirrored`](super::RunConfig::not_mirrored).
    Auto,
}
