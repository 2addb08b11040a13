//! LoRA (Hu et al. 2021, arXiv:2106.09685): trained low-rank factors on frozen weights.

use burn::Tensor;
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::{Device, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::adapter::{Adapter, Geometry};
use crate::error::MethodError;
use crate::layers::{Layer, LayerKind};

/// Settings of LoRA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank `r` of the change; capped at a layer's own dimensions.
    pub rank: usize,
    /// The change is scaled by `alpha / rank` (section 4.1 of the paper).
    pub alpha: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
        }
    }
}

impl LoraConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check_rank(self.rank)?;
        check_finite("alpha", self.alpha)?;
        check_dropout(self.dropout)
    }

    /// An adapter for `layer`: `A ~ U(-1/√inputs, 1/√inputs)` (PyTorch's Kaiming uniform with
    /// `a = √5`, as PEFT), `B = 0`, so that it changes nothing yet.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn adapter(&self, layer: &Layer, device: &Device, rng: &mut ChaCha8Rng) -> Adapter {
        let geometry = Geometry {
            rank: self
                .rank
                .min(layer.inputs)
                .min(layer.outputs / layer.groups()),
            scale: self.alpha / self.rank as f64,
            inputs: layer.inputs,
            groups: layer.groups(),
            kernel: kernel(layer),
            shared: false,
            dense_gradient: false,
        };
        let rows = geometry.groups * geometry.rank;
        let bound = 1.0 / (layer.inputs as f32).sqrt();
        let a: Vec<f32> = (0..rows * layer.inputs)
            .map(|_| rng.random_range(-bound..bound))
            .collect();
        Adapter {
            lora_a: param(a, [rows, layer.inputs], device),
            lora_b: zeros([layer.outputs, geometry.rank], device),
            lora_b_mask: None,
            dropout: DropoutConfig::new(self.dropout).init(),
            geometry,
        }
    }
}

pub(crate) fn kernel(layer: &Layer) -> Option<[usize; 2]> {
    match layer.kind {
        LayerKind::Linear => None,
        LayerKind::Conv2d { kernel, .. } => Some(kernel),
    }
}

pub(crate) fn param(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Param<Tensor<2>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

pub(crate) fn zeros(shape: [usize; 2], device: &Device) -> Param<Tensor<2>> {
    Param::from_tensor(Tensor::zeros(shape, device))
}

pub(crate) fn check_rank(rank: usize) -> Result<(), MethodError> {
    if rank == 0 {
        return Err(setting("rank", rank, "at least 1"));
    }
    Ok(())
}

pub(crate) fn check_finite(name: &'static str, value: f64) -> Result<(), MethodError> {
    if !value.is_finite() {
        return Err(setting(name, value, "a finite number"));
    }
    Ok(())
}

pub(crate) fn check_dropout(value: f64) -> Result<(), MethodError> {
    if !(0.0..1.0).contains(&value) {
        return Err(setting("dropout", value, "at least 0 and below 1"));
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value)] // numbers
pub(crate) fn setting(
    name: &'static str,
    value: impl std::fmt::Display,
    wanted: &'static str,
) -> MethodError {
    MethodError::Setting {
        name,
        value: format!("{value}"),
        wanted,
    }
}
