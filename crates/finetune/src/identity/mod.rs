//! What runs were started with: [`Inputs`], by which whatever goes on from them can tell whether base
//! weights and images are still the same; and the hashes of the files that runs wrote ([`verify`]).
//!
//! Runs of versions before 0.2 recorded none of this; they are used without these checks.

mod data;
mod files;
mod hexadecimal;
mod weights;

pub use data::{DataIdentity, PartIdentity};
pub use files::{of_files, verify};
pub use weights::WeightsIdentity;

use serde::{Deserialize, Serialize};

/// The base weights and images that runs were started with. It is part of `config.json`,
/// `plan.json` and checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The base weights; `None` if all runs start from random weights, or if it is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsIdentity>,
    /// The images and classes; `None` if it is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataIdentity>,
}

impl Inputs {
    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
