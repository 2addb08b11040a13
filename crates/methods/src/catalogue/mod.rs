//! Settings of the methods, and how each makes the adapter of a layer.

mod adalora;
mod adaptformer;
mod check;
mod dynamics;
mod ia3;
mod loha;
mod lora;
mod moving_mask;
mod rank_budget;
mod shira;
mod sparse_shared;
mod vera;

use burn::Tensor;

pub use adalora::AdaloraConfig;
pub use adaptformer::{AdaptformerConfig, VptConfig};
pub use dynamics::{Dynamics, Moved};
pub use ia3::{Ia3Config, SsfConfig};
pub use loha::{LohaConfig, LokrConfig};
pub use lora::{Bias, LoraConfig, LoraInit};
pub use moving_mask::SparseDynamics;
pub use rank_budget::RankBudget;
pub use shira::{GpsConfig, ShiraConfig};
pub use sparse_shared::{Budget, PeftConfig, Regrow};
pub use vera::VeraConfig;

use crate::adapters::Quantize;
use crate::adapters::{Adapter, start};
use crate::inspect::Layer;

/// Makes the adapters of a method, layer by layer in the order of the model's fields.
pub(crate) trait Maker {
    /// The adapter of a layer whose base weight is `base`, `[outputs, inputs]`.
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made;
}

/// An adapter, and what the base weight becomes where the method changes it.
pub(crate) struct Made {
    pub(crate) adapter: Adapter,
    pub(crate) base: Option<Tensor<2>>,
    /// How the base weight is kept.
    pub(crate) quantize: Option<Quantize>,
}

impl From<Adapter> for Made {
    fn from(adapter: Adapter) -> Self {
        Self {
            adapter,
            base: None,
            quantize: None,
        }
    }
}
