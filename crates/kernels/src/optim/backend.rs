//! The steps as operations of a backend.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, Flex, Scalar, TensorMetadata, backend_extension};

use super::kernel;
use super::{Adam, Sgd};
use crate::memory::are_f32;

/// The gradient of a parameter, in a form that the extension mechanism passes on.
#[derive(ExtensionType)]
pub enum Gradient<B: Backend> {
    /// A gradient with the shape of the parameter.
    Whole(FloatTensor<B>),
    /// The product `xᵀ·g` of `x` `[rows, in]` and `g` `[rows, out]`.
    Outer(FloatTensor<B>, FloatTensor<B>),
}

impl<B: Backend> Gradient<B> {
    /// The whole gradient, with the shape of the parameter.
    fn whole(self, parameter: &FloatTensor<B>) -> FloatTensor<B> {
        match self {
            Self::Whole(gradient) => gradient,
            Self::Outer(x, gradient) => {
                let product = B::float_matmul(B::float_transpose(x), gradient);
                B::float_reshape(product, parameter.shape())
            }
        }
    }
}

impl Gradient<Flex> {
    fn is_f32(&self) -> bool {
        match self {
            Self::Whole(gradient) => are_f32([gradient]),
            Self::Outer(x, gradient) => are_f32([x, gradient]),
        }
    }
}

/// Backends that take optimiser steps: flex in place, others with their ordinary operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"))]
pub trait OptimBackend: Backend {
    /// See [`adam`](super::adam()).
    fn adam(
        parameter: FloatTensor<Self>,
        #[extension_type] gradient: Gradient<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain_adam::<Self>(parameter, gradient, first, second, step)
    }

    /// See [`sgd`](super::sgd()).
    fn sgd(
        parameter: FloatTensor<Self>,
        #[extension_type] gradient: Gradient<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        plain_sgd::<Self>(parameter, gradient, velocity, step)
    }
}

#[cfg(feature = "ndarray")]
impl OptimBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl OptimBackend for burn::backend::Cube {}

impl OptimBackend for Flex {
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: Gradient<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if are_f32([&parameter, &first, &second]) && gradient.is_f32() {
            kernel::adam(parameter, gradient, first, second, step)
        } else {
            plain_adam::<Self>(parameter, gradient, first, second, step)
        }
    }

    fn sgd(
        parameter: FloatTensor<Self>,
        gradient: Gradient<Self>,
        velocity: FloatTensor<Self>,
        step: Sgd,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if are_f32([&parameter, &velocity]) && gradient.is_f32() {
            kernel::sgd(parameter, gradient, velocity, step)
        } else {
            plain_sgd::<Self>(parameter, gradient, velocity, step)
        }
    }
}

fn plain_adam<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: Gradient<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: Adam,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let gradient = gradient.whole(&parameter);
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
    gradient: Gradient<B>,
    velocity: FloatTensor<B>,
    step: Sgd,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let gradient = gradient.whole(&parameter);
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
