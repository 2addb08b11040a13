//! The steps as operations of a backend.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, NdArray, Scalar, backend_extension};

use super::kernel::{self, Gradient};
use super::{Adam, Sgd};
use crate::memory::are_f32;

/// Backends that take optimiser steps: flex in place, others with their ordinary operations.
#[backend_extension(Flex, NdArray, Cube: cfg(feature = "wgpu"))]
pub trait OptimBackend: Backend {
    /// See [`adam`](super::adam()).
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain_adam::<Self>(parameter, gradient, first, second, step)
    }

    /// See [`adam_outer`](super::adam_outer); the gradient is `xᵀ·gradient`.
    fn adam_outer(
        parameter: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = Self::float_matmul(Self::float_transpose(x), gradient);
        Self::adam(parameter, gradient, first, second, step)
    }

    /// See [`sgd_outer`](super::sgd_outer); the gradient is `xᵀ·gradient`.
    fn sgd_outer(
        parameter: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = Self::float_matmul(Self::float_transpose(x), gradient);
        Self::sgd(parameter, gradient, velocity, step)
    }

    /// See [`sgd`](super::sgd()).
    fn sgd(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        plain_sgd::<Self>(parameter, gradient, velocity, step)
    }
}

#[allow(deprecated)] // NdArray is, upstream
impl OptimBackend for NdArray {}

#[cfg(feature = "wgpu")]
impl OptimBackend for burn::backend::Cube {}

impl OptimBackend for Flex {
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if are_f32([&parameter, &gradient, &first, &second]) {
            kernel::adam(parameter, Gradient::Whole(gradient), first, second, step)
        } else {
            plain_adam::<Self>(parameter, gradient, first, second, step)
        }
    }

    fn sgd(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if are_f32([&parameter, &gradient, &velocity]) {
            kernel::sgd(parameter, Gradient::Whole(gradient), velocity, step)
        } else {
            plain_sgd::<Self>(parameter, gradient, velocity, step)
        }
    }

    fn adam_outer(
        parameter: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if are_f32([&parameter, &x, &gradient, &first, &second]) {
            kernel::adam(parameter, Gradient::Outer(x, gradient), first, second, step)
        } else {
            let gradient = Self::float_matmul(Self::float_transpose(x), gradient);
            plain_adam::<Self>(parameter, gradient, first, second, step)
        }
    }

    fn sgd_outer(
        parameter: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if are_f32([&parameter, &x, &gradient, &velocity]) {
            kernel::sgd(parameter, Gradient::Outer(x, gradient), velocity, step)
        } else {
            let gradient = Self::float_matmul(Self::float_transpose(x), gradient);
            plain_sgd::<Self>(parameter, gradient, velocity, step)
        }
    }
}

fn plain_adam<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: Adam,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let times = |tensor, factor: f64| B::float_mul_scalar(tensor, Scalar::Float(factor));
    let (parameter, gradient) = match step {
        Adam {
            weight_decay: 0.0, ..
        } => (parameter, gradient),
        Adam {
            decoupled: true, ..
        } => (
            times(parameter, 1.0 - step.learning_rate * step.weight_decay),
            gradient,
        ),
        Adam { weight_decay, .. } => (
            parameter.clone(),
            B::float_add(gradient, times(parameter, weight_decay)),
        ),
    };
    let [beta_1, beta_2] = step.betas;
    let (size, root) = step.corrections();
    let first = B::float_add(times(first, beta_1), times(gradient.clone(), 1.0 - beta_1));
    let square = B::float_mul(gradient.clone(), gradient);
    let second = B::float_add(times(second, beta_2), times(square, 1.0 - beta_2));
    let below = times(B::float_sqrt(second.clone()), 1.0 / root);
    let below = B::float_add_scalar(below, Scalar::Float(step.epsilon));
    let change = B::float_div(times(first.clone(), size), below);
    (B::float_sub(parameter, change), first, second)
}

fn plain_sgd<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    velocity: FloatTensor<B>,
    step: Sgd,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let times = |tensor, factor: f64| B::float_mul_scalar(tensor, Scalar::Float(factor));
    let gradient = if step.weight_decay == 0.0 {
        gradient
    } else {
        B::float_add(gradient, times(parameter.clone(), step.weight_decay))
    };
    let velocity = B::float_add(times(velocity, step.momentum), gradient);
    let change = times(velocity.clone(), step.learning_rate);
    (B::float_sub(parameter, change), velocity)
}
