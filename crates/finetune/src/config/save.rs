//! Which files of a finished run are written.

use serde::{Deserialize, Serialize};

/// Which files of a finished run are written. A method that trains the whole model has no adapter, and one
/// that cannot be merged has no model of its own: they write what they have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Save {
    /// What was trained, which needs the base weights.
    Adapter,
    /// The whole model, with the adapter merged.
    Model,
    /// Both.
    #[default]
    Both,
}

impl Save {
    /// Whether it is the default, which is not written into configurations.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's interface
    pub fn is_both(&self) -> bool {
        *self == Self::Both
    }
}
