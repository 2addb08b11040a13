//! What runs were started with: [`Inputs`], by which whatever goes on from them can tell whether base
//! weights and images are still the same; and the hashes of the files that runs wrote ([`verify`]).
//!
//! Runs of versions before 0.2 recorded none of this; they are used without these checks.

mod contents;
mod data;
mod files;
mod weights;

pub use data::{DataIdentity, OtherContents, PartIdentity};
pub use files::{of_files, verify};
pub use weights::WeightsIdentity;

use serde::{Deserialize, Serialize};

use crate::config::DataConfig;

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

    /// The same without the contents of images, for files that are written often.
    #[must_use]
    pub fn without_contents(&self) -> Self {
        Self {
            weights: self.weights.clone(),
            data: self.data.as_ref().map(DataIdentity::without_contents),
        }
    }

    /// What differs in the inputs of runs on `data` that repeat those with these, a sentence each.
    #[must_use]
    pub fn changes(&self, now: &Self, data: &DataConfig) -> Vec<String> {
        let mut changes = Vec::new();
        if let (Some(was), Some(is)) = (&self.weights, &now.weights)
            && was.sha256 != is.sha256
        {
            changes.push(format!(
                "the base weights are not those of the runs that are repeated: their SHA-256 is {}, it \
                 was {}",
                is.sha256, was.sha256
            ));
        }
        if let (Some(was), Some(is)) = (&self.data, &now.data)
            && let Some(difference) = (was.difference(is)).or_else(|| data.other_contents(was, is))
        {
            changes.push(format!(
                "the images are not those of the runs that are repeated: {difference}"
            ));
        }
        changes
    }
}
