//! Applying Burn's layers so that their adapters take effect.
//!
//! A model that calls these functions instead of `layer.forward(x)` gets the cheapest computation of a
//! low-rank adapter: from its factors or with a merged weight, see [`Form`](super::Form). A layer
//! without an adapter computes what its own forward pass does.

use burn::Tensor;
use burn::nn::{Linear, conv::Conv2d};
use finetune_kernels::counted::is_counting;

use super::counted;
use super::site::{ConvSite, LinearSite, Site};
use crate::catalogue::Adapter;

/// Applies a Linear layer to `x` of shape `[.., in]`; returns `[.., out]`.
///
/// # Panics
///
/// If the last axis of `x` is not the layer's input size, as Burn's own forward pass does.
#[must_use]
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    if is_counting() {
        return counted::linear(layer, &x);
    }
    match layer.weight.reparameterization::<Adapter>() {
        Some(adapter) => adapter.forward(&LinearSite(layer, adapter.blocks()), x),
        None => LinearSite(layer, None).changed(x),
    }
}

/// Applies a Conv2d layer to `x` of shape `[batch, channels, height, width]`.
///
/// The `A` of a low-rank adapter is a convolution with the layer's own kernel size, stride, padding,
/// dilation and groups to `rank` channels per group; its `B` is a 1×1 convolution.
///
/// # Panics
///
/// If `x` does not have the layer's input channels, as Burn's own forward pass does.
#[must_use]
pub fn conv2d(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    if is_counting() {
        return counted::conv2d(layer, &x);
    }
    match layer.weight.reparameterization::<Adapter>() {
        Some(adapter) => adapter.forward(&ConvSite(layer, adapter.blocks()), x),
        None => ConvSite(layer, None).changed(x),
    }
}

/// Applies a block `inner` and adds the [`Bottleneck`](crate::adapters::Bottleneck) that its first
/// layer, `layer`, may carry.
///
/// `adapter_input` is the bottleneck's input: the block's input before its own normalisation.
#[must_use]
pub fn parallel<const D: usize>(
    layer: &Linear,
    adapter_input: Tensor<D>,
    inner: impl FnOnce() -> Tensor<D>,
) -> Tensor<D> {
    match layer.weight.reparameterization::<Adapter>() {
        Some(Adapter::Bottleneck(adapter)) => inner() + adapter.forward(adapter_input),
        _ => inner(),
    }
}

/// Applies a block to `tokens` of shape `[batch, tokens, width]` with the
/// [`Prompts`](crate::adapters::Prompts) that its layer `layer` may carry.
///
/// The prompts are inserted after the first token, and the block's outputs for them are removed.
#[must_use]
pub fn prompted(
    layer: &Linear,
    tokens: Tensor<3>,
    block: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let Some(Adapter::Prompts(adapter)) = layer.weight.reparameterization::<Adapter>() else {
        return block(tokens);
    };
    let [batch, count, _] = tokens.dims();
    let prompts = adapter.prompts.val().unsqueeze::<3>().repeat_dim(0, batch);
    let added = prompts.dims()[1];
    let first = tokens.clone().narrow(1, 0, 1);
    let rest = tokens.narrow(1, 1, count - 1);
    let seen = block(Tensor::cat(vec![first, prompts, rest], 1));
    Tensor::cat(
        vec![
            seen.clone().narrow(1, 0, 1),
            seen.narrow(1, 1 + added, count - 1),
        ],
        1,
    )
}
