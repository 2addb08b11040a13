//! What transformers and ConvNeXt compute between their products: layer normalisation, GELU and
//! attention, each in one pass.
//!
//! As ordinary operations, a layer normalisation is a dozen passes over memory in each direction, GELU
//! calls a function per value, and attention keeps a score for each pair of tokens.

mod attention;
mod autodiff;
mod backend;
mod gelu;
mod layer_norm;

use burn::Tensor;
use burn::backend::Dispatch;

use crate::counted;
use backend::TokenBackend;

/// Normalises the last axis of `x` by its mean and its (biased) variance, then scales and shifts it:
/// Ba et al. 2016, "Layer Normalization" (arXiv:1607.06450).
///
/// `gamma` and `beta` have the length of that axis; `epsilon` is added to the variance.
///
/// # Panics
///
/// If they have another length.
#[must_use]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let width = x.dims()[D - 1];
    assert_eq!(
        (gamma.dims(), beta.dims()),
        ([width], [width]),
        "scale and shift must be as long as the last axis"
    );
    Tensor::from_dispatch(Dispatch::layer_normalized(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    ))
}

/// `x · Φ(x)` with the distribution function `Φ` of the standard normal distribution: Hendrycks and
/// Gimpel 2016, "Gaussian Error Linear Units" (arXiv:1606.08415).
#[must_use]
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::gaussian_error_linear(x.into_dispatch()))
}

/// Multi-head self-attention, `softmax(Q·Kᵀ / √d)·V` per head (Vaswani et al. 2017,
/// arXiv:1706.03762, equation 1).
///
/// `qkv` `[batch, tokens, 3 · heads · d]` has queries, keys and values beside each other, each head by
/// head. Returns `[batch, tokens, heads · d]`. No scores are kept for the backward pass: it computes
/// them again from the sum of their exponentials (Dao et al. 2022, "FlashAttention",
/// arXiv:2205.14135).
///
/// # Panics
///
/// If the last axis is not a multiple of `3 · heads`.
#[must_use]
pub fn attention(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    assert!(
        heads > 0 && width.is_multiple_of(3 * heads),
        "{width} values are no queries, keys and values of {heads} heads"
    );
    if counted::is_counting() {
        let shape = [batch, tokens, width / 3];
        // A value is a sum over all tokens, and each of its scores one over its head.
        counted::add(shape.iter().product(), 2 * tokens);
        return Tensor::zeros(shape, &qkv.device());
    }
    Tensor::from_dispatch(Dispatch::self_attention(qkv.into_dispatch(), heads))
}
