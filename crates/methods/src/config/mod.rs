//! Settings of the methods, and how each makes the adapter of a layer.

mod adalora;
mod beside;
mod check;
mod lora;
mod lycoris;
mod peft;
mod ready;
mod scale;
mod sparse;
pub(crate) mod start;
mod vera;

use burn::Tensor;

pub use adalora::AdaloraConfig;
pub use beside::{AdaptformerConfig, VptConfig};
pub use lora::{Bias, LoraConfig, LoraInit};
pub use lycoris::{LohaConfig, LokrConfig};
pub use peft::{Budget, PeftConfig, Regrow};
pub(crate) use ready::Ready;
pub use scale::{Ia3Config, SsfConfig};
pub use sparse::{GpsConfig, ShiraConfig};
pub use vera::VeraConfig;

use crate::adapter::Adapter;
use crate::layers::Layer;
use crate::quantize::Quantize;

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
