//! Batch normalisation fused with residual and activation, in two passes over memory.
//!
//! As separate operations, a normalisation in training, an addition and a ReLU read and write a
//! feature map about a dozen times in each direction. Here the forward pass reads it and writes the
//! output; the backward pass reads it and the gradient, and writes the gradient of the input into
//! the buffer of the gradient. What the backward pass needs of an activation is computed again from
//! the input, or stored as one bit per value.

mod activation;
mod autodiff;
mod backend;
mod blocks;
mod flex;
mod kernel;
mod mask;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::nn::BatchNorm;

pub use activation::{Activation, hard_sigmoid};
pub use backend::{NormBackend, Residual};

/// Computes `activation(norm(x) + residual)` for `x` of shape `[batch, channels, height, width]`.
///
/// A layer in training normalises by the statistics of the batch and updates the running ones;
/// otherwise it normalises by the running ones. γ and β are the effective values of the layer. The
/// result is that of `BatchNorm::forward` with one exception: the running variance follows the
/// unbiased variance of the batch, `Σ(x − x̄)² / (n − 1)`, as in PyTorch, and not the biased one.
///
/// # Panics
///
/// If `x` has another number of channels than the layer, or `residual` another shape than `x`.
#[must_use]
pub fn norm_act(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    if activation.bends() && residual.is_some() {
        // No network uses this; the derivative would need the residual as well.
        return activation.apply(norm_act(norm, x, residual, Activation::Identity));
    }
    let [images, channels, height, width] = x.dims();
    assert_eq!(
        norm.gamma.dims(),
        [channels],
        "the input must have the channels of the layer"
    );
    if let Some(residual) = &residual {
        assert_eq!(
            residual.dims(),
            x.dims(),
            "the residual must have the shape of the input"
        );
    }
    let device = x.device();
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    let residual = match residual {
        Some(residual) => Residual::Added(residual.into_dispatch()),
        None => Residual::Absent,
    };
    if !(device.is_autodiff() && norm.training.is_enabled()) {
        let mean = norm.running_mean.value().to_device(&device);
        let variance = norm.running_var.value().to_device(&device);
        return Tensor::from_dispatch(<Dispatch as NormBackend>::scaled(
            x.into_dispatch(),
            gamma.into_dispatch(),
            beta.into_dispatch(),
            mean.into_dispatch(),
            variance.into_dispatch(),
            residual,
            norm.epsilon,
            activation,
        ));
    }
    let (output, mean, variance) = <Dispatch as NormBackend>::normalized(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        residual,
        norm.epsilon,
        activation,
    );
    let moved = |running: Tensor<1>, batch: Tensor<1>| {
        running
            .to_device(&device)
            .mul_scalar(1.0 - norm.momentum)
            .add(batch.detach().mul_scalar(norm.momentum))
            .detach()
    };
    let (mean, variance) = (Tensor::from_dispatch(mean), Tensor::from_dispatch(variance));
    let variance = variance * unbiased(images * height * width);
    norm.running_mean
        .update(moved(norm.running_mean.value_sync(), mean));
    norm.running_var
        .update(moved(norm.running_var.value_sync(), variance));
    Tensor::from_dispatch(output)
}

/// The factor between the biased and the unbiased variance of `count` values.
#[allow(
    clippy::cast_precision_loss,
    reason = "a batch's pixels are far fewer than 2⁵³"
)]
fn unbiased(count: usize) -> f64 {
    // A single value has no unbiased variance; the biased one is 0.
    count as f64 / count.saturating_sub(1).max(1) as f64
}
