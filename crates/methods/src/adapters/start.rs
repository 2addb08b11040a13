//! Parameters as adapters start: constant, or drawn on the host from a seeded generator.

use burn::Tensor;
use burn::module::Param;
use burn::tensor::{Device, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::random::normal;

/// A parameter with the given values, row by row.
pub(crate) fn param<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

/// A parameter whose entries all have one value.
pub(crate) fn full<const D: usize>(
    value: f32,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::full(shape, value, device))
}

/// `N(0, std²)`.
pub(crate) fn gaussian<const D: usize>(
    std: f32,
    shape: [usize; D],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Param<Tensor<D>> {
    let count = shape.iter().product();
    param(
        (0..count).map(|_| normal(rng) * std).collect(),
        shape,
        device,
    )
}

/// `U(-bound, bound)`.
pub(crate) fn uniform<const D: usize>(
    bound: f32,
    shape: [usize; D],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Param<Tensor<D>> {
    let count = shape.iter().product();
    let values = (0..count).map(|_| rng.random_range(-bound..bound));
    param(values.collect(), shape, device)
}

/// `PyTorch`'s Kaiming uniform with `a = √5`: `U(-1/√n, 1/√n)` for `n` inputs.
pub(crate) fn kaiming(
    [rows, inputs]: [usize; 2],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Param<Tensor<2>> {
    uniform(1.0 / root(inputs), [rows, inputs], device, rng)
}

/// `√count`.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn root(count: usize) -> f32 {
    (count as f32).sqrt()
}
