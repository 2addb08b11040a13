//! Kinds of weights files.

use serde::{Deserialize, Serialize};

/// Kind of a weights file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// safetensors.
    #[default]
    Safetensors,
    /// PyTorch's format: a state dict for `torch.load(weights_only=True)`.
    Pth,
}
