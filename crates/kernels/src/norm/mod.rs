//! Batch normalisation with what follows it: residual and activation, in two passes over memory.
//!
//! As operations of their own, a normalisation in training, an addition and a ReLU read and write a
//! feature map about a dozen times each way. Here forward reads it and writes the output; backward
//! reads it and the gradient, and writes the input's gradient in the gradient's buffer. What backward
//! needs of an activation it computes again from the input, or keeps as a bit for each value.

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
use burn::tensor::activation::silu;

pub use activation::Activation;
pub use backend::{NormBackend, Residual};

/// `activation(norm(x) + residual)` of `[batch, channels, height, width]`.
///
/// Statistics of the batch, which move the running ones, where the layer trains; the running ones
/// elsewhere. γ and β are the layer's effective values. As `BatchNorm::forward` in all that it does
/// but one: the running variance follows the unbiased variance of the batch, `Σ(x − x̄)² / (n − 1)`, as
/// PyTorch's does, and not the biased one.
///
/// # Panics
///
/// Where `x` has not the layer's channels, or the residual not its shape.
#[must_use]
pub fn norm_act(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    if activation == Activation::Silu && residual.is_some() {
        // No network has it; its slope would need the residual again.
        return silu(norm_act(norm, x, residual, Activation::Identity));
    }
    let [images, channels, height, width] = x.dims();
    assert_eq!(
        norm.gamma.dims(),
        [channels],
        "the input has the layer's channels"
    );
    if let Some(residual) = &residual {
        assert_eq!(
            residual.dims(),
            x.dims(),
            "the residual has the input's shape"
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

/// What turns the biased variance of so many values into the unbiased one.
#[allow(
    clippy::cast_precision_loss,
    reason = "a batch's pixels are far fewer than 2⁵³"
)]
fn unbiased(count: usize) -> f64 {
    // Of a single value there is none; its biased variance is 0.
    count as f64 / count.saturating_sub(1).max(1) as f64
}
