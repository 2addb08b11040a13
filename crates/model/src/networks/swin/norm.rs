//! The normalisations of Swin Transformers.

use burn::Tensor;
use burn::nn::LayerNorm;
use burn::tensor::Device;

use super::super::blocks::{layer_norm_of, normalized_by};

/// Added to the variance in layer normalisations: PyTorch's default.
const EPSILON: f64 = 1e-5;

pub(super) fn layer_norm(width: usize, device: &Device) -> LayerNorm {
    layer_norm_of(width, EPSILON, device)
}

pub(super) fn normalized(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    normalized_by(norm, x, EPSILON)
}
