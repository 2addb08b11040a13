//! The normalisations as operations of a backend.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Capture, ExtensionType, Flex, Scalar, backend_extension};

use super::activation::Activation;
use super::flex;

/// An optional residual, which is added before the activation; a type of its own because the
/// extension mechanism does not pass an `Option`.
#[derive(ExtensionType)]
pub enum Residual<B: Backend> {
    /// A residual with the shape of the input.
    Added(FloatTensor<B>),
    /// No residual.
    Absent,
}

impl<B: Backend> Residual<B> {
    pub(super) fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Added(residual) => Some(residual),
            Self::Absent => None,
        }
    }
}

/// Backends with normalisations: flex with kernels, others with their ordinary operations.
#[backend_extension(Flex, Capture, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub trait NormBackend: Backend {
    /// Normalises by the mean and the (biased) variance of the batch, and returns both as well.
    fn normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        #[extension_type] residual: Residual<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain_normalized::<Self>(x, gamma, beta, residual.into_option(), epsilon, activation)
    }

    /// Normalises by a given mean and variance.
    #[allow(clippy::too_many_arguments)] // an operation's are plain
    fn scaled(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        #[extension_type] residual: Residual<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let y = <Self as ModuleOps<Self>>::batch_norm(x, gamma, beta, mean, variance, epsilon);
        plain_after::<Self>(y, residual.into_option(), activation)
    }
}

#[cfg(feature = "ndarray")]
impl NormBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl NormBackend for burn::backend::Cube {}

impl NormBackend for Capture {}

#[cfg(feature = "ndarray")]
impl<C: CheckpointStrategy> NormBackend for Autodiff<burn::backend::NdArray, C> {}

#[cfg(feature = "wgpu")]
impl<C: CheckpointStrategy> NormBackend for Autodiff<burn::backend::Cube, C> {}

impl<C: CheckpointStrategy> NormBackend for Autodiff<Capture, C> {}

impl NormBackend for Flex {
    fn normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Residual<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let residual = residual.into_option();
        if !flex::computes(&x, [&gamma, &beta], residual.as_ref()) {
            return plain_normalized::<Self>(x, gamma, beta, residual, epsilon, activation);
        }
        let layer = flex::Layer {
            gamma,
            beta,
            epsilon,
            activation,
        };
        let done = flex::normalized(x, &layer, residual, false);
        (done.output, done.mean, done.variance)
    }

    fn scaled(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: Residual<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let residual = residual.into_option();
        if !flex::computes(&x, [&gamma, &beta, &mean, &variance], residual.as_ref()) {
            let y = <Self as ModuleOps<Self>>::batch_norm(x, gamma, beta, mean, variance, epsilon);
            return plain_after::<Self>(y, residual, activation);
        }
        let layer = flex::Layer {
            gamma,
            beta,
            epsilon,
            activation,
        };
        flex::scaled(x, &layer, [&mean, &variance], residual, flex::Keep::Nothing).output
    }
}

/// [`NormBackend::normalized`] in ordinary operations.
pub(super) fn plain_normalized<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    epsilon: f64,
    activation: Activation,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let done = B::batch_norm_train(x, gamma, beta, epsilon);
    let y = plain_after::<B>(done.output, residual, activation);
    (y, done.mean, done.variance)
}

/// Residual and activation in ordinary operations.
pub(super) fn plain_after<B: Backend>(
    y: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    activation: Activation,
) -> FloatTensor<B> {
    let y = match residual {
        Some(residual) => B::float_add(y, residual),
        None => y,
    };
    match activation {
        Activation::Identity => y,
        Activation::Relu => B::relu(y),
        Activation::Relu6 => B::float_clamp(y, Scalar::Float(0.0), Scalar::Float(6.0)),
        Activation::Silu => B::float_mul(y.clone(), B::sigmoid(y)),
        Activation::HardSwish => {
            let gate = B::float_add_scalar(y.clone(), Scalar::Float(3.0));
            let gate = B::float_clamp(gate, Scalar::Float(0.0), Scalar::Float(6.0));
            B::float_mul(y, B::float_div_scalar(gate, Scalar::Float(6.0)))
        }
    }
}
