//! The operations on tokens as operations of a backend.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::{ActivationOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Capture, Flex, Scalar, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Slice};
use burn_flex::FlexTensor;

use super::attention::Sizes;
use super::{attention, gelu, layer_norm};
use crate::memory::{are_f32, contiguous, tensor, values, written};

/// Backends with operations on tokens: flex with kernels, others with their ordinary operations.
#[backend_extension(Flex, Capture, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait TokenBackend: Backend {
    /// Layer normalisation of the last axis.
    fn layer_normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::layer_norm(x, gamma, Some(beta), epsilon)
    }

    /// GELU.
    fn gaussian_error_linear(x: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ActivationOps<Self>>::gelu(x)
    }

    /// Self-attention of queries, keys and values `[batch, tokens, 3 · heads · dim]`.
    fn self_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        plain_attention::<Self>(qkv, heads)
    }
}

#[cfg(feature = "ndarray")]
impl TokenBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl TokenBackend for burn::backend::Cube {}

impl TokenBackend for Capture {}

#[cfg(feature = "ndarray")]
impl<C: CheckpointStrategy> TokenBackend for Autodiff<burn::backend::NdArray, C> {}

#[cfg(feature = "wgpu")]
impl<C: CheckpointStrategy> TokenBackend for Autodiff<burn::backend::Cube, C> {}

impl<C: CheckpointStrategy> TokenBackend for Autodiff<Capture, C> {}

impl TokenBackend for Flex {
    fn layer_normalized(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        if are_f32([&x, &gamma, &beta]) {
            normalized(&contiguous(x), gamma, beta, epsilon).0
        } else {
            <Self as ModuleOps<Self>>::layer_norm(x, gamma, Some(beta), epsilon)
        }
    }

    fn gaussian_error_linear(x: FlexTensor) -> FlexTensor {
        if are_f32([&x]) {
            gelu_forward(&contiguous(x))
        } else {
            <Self as ActivationOps<Self>>::gelu(x)
        }
    }

    fn self_attention(qkv: FlexTensor, heads: usize) -> FlexTensor {
        if are_f32([&qkv]) {
            attended(&contiguous(qkv), heads).0
        } else {
            plain_attention::<Self>(qkv, heads)
        }
    }
}

/// The normalised tensor and the moments of its rows; all tensors hold `f32`, `x` is contiguous.
pub(super) fn normalized(
    x: &FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
) -> (FlexTensor, layer_norm::Moments) {
    let (gamma, beta) = (contiguous(gamma), contiguous(beta));
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the kernel computes in f32"
    )]
    let layer = layer_norm::Layer {
        gamma: values(&gamma),
        beta: values(&beta),
        epsilon: epsilon as f32,
    };
    let x_values = values(x);
    let mut moments = Vec::new();
    // SAFETY: `forward` writes all rows.
    #[allow(unsafe_code, reason = "the output is written once, not zeroed first")]
    let out = unsafe {
        written(x_values.len(), |out| {
            moments = layer_norm::forward(layer, x_values, out);
        })
    };
    (tensor(out, x.layout().shape().clone()), moments)
}

pub(super) fn gelu_forward(x: &FlexTensor) -> FlexTensor {
    let x_values = values(x);
    // SAFETY: `forward` writes every value.
    #[allow(unsafe_code, reason = "the output is written once, not zeroed first")]
    let out = unsafe { written(x_values.len(), |out| gelu::forward(x_values, out)) };
    tensor(out, x.layout().shape().clone())
}

/// The sizes of an attention, and the number of images.
pub(super) fn sizes(qkv: &FlexTensor, heads: usize) -> (Sizes, usize) {
    let [batch, tokens, width] = qkv.layout().shape().dims();
    let dim = width / 3 / heads;
    (Sizes { tokens, heads, dim }, batch)
}

/// The attention and the logarithms of the sums of exponentials; `qkv` is contiguous `f32`.
pub(super) fn attended(qkv: &FlexTensor, heads: usize) -> (FlexTensor, Vec<f32>) {
    let (sizes, batch) = sizes(qkv, heads);
    let width = sizes.heads * sizes.dim;
    let mut logs = Vec::new();
    // SAFETY: `forward` writes all heads of all images.
    #[allow(unsafe_code, reason = "the output is written once, not zeroed first")]
    let out = unsafe {
        written(batch * sizes.tokens * width, |out| {
            logs = attention::forward(sizes, values(qkv), out);
        })
    };
    (tensor(out, [batch, sizes.tokens, width]), logs)
}

/// [`TokenBackend::self_attention`] in ordinary operations.
pub(super) fn plain_attention<B: Backend>(qkv: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [batch, tokens, width] = qkv.shape().dims();
    let dim = width / 3 / heads;
    let qkv = B::float_reshape(qkv, Shape::new([batch, tokens, 3, heads, dim]));
    let qkv = B::float_permute(qkv, &[2, 0, 3, 1, 4]);
    let part = |index: usize| {
        let slices = [
            Slice::from(index..index + 1),
            Slice::from(0..batch),
            Slice::from(0..heads),
            Slice::from(0..tokens),
            Slice::from(0..dim),
        ];
        let part = B::float_slice(qkv.clone(), &slices);
        B::float_reshape(part, Shape::new([batch, heads, tokens, dim]))
    };
    let (query, key, value) = (part(0), part(1), part(2));
    #[allow(clippy::cast_precision_loss, reason = "a head has few values")]
    let scale = (dim as f64).powf(-0.5);
    let query = B::float_mul_scalar(query, Scalar::Float(scale));
    let scores = B::float_matmul(query, B::float_swap_dims(key, 2, 3));
    let mixed = B::float_matmul(<B as ActivationOps<B>>::softmax(scores, 3), value);
    let mixed = B::float_swap_dims(mixed, 1, 2);
    B::float_reshape(mixed, Shape::new([batch, tokens, heads * dim]))
}
