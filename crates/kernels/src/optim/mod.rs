//! Optimiser steps in place: one pass over parameter, gradient and moments.
//!
//! In tensor operations, a step of Adam makes about fifteen passes over memory and as many buffers.
//! Here it reads four values and writes three per entry. Parameter and moments are changed in place
//! if their buffers have no other owner, and copied first otherwise.

mod backend;
mod kernel;

use burn::Tensor;
use burn::backend::Dispatch;

pub use backend::OptimBackend;

use crate::linear::OuterProduct;

/// A step of Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1) or AdamW (Loshchilov and
/// Hutter 2019, arXiv:1711.05101, algorithm 2), as PyTorch computes it.
///
/// ```text
/// g ← g + λ·p                        coupled decay
/// p ← p − η·λ·p                      decoupled decay
/// m ← m + (1 − β₁)·(g − m)
/// v ← β₂·v + (1 − β₂)·g²
/// p ← p − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// `η`.
    pub learning_rate: f64,
    /// `β₁` and `β₂`.
    pub betas: [f64; 2],
    /// `ε`.
    pub epsilon: f64,
    /// `λ`.
    pub weight_decay: f64,
    /// Whether the decay is applied to the parameter itself (AdamW) and not to the gradient.
    pub decoupled: bool,
    /// `t`, from 1.
    pub step: u64,
}

/// A step of gradient descent with momentum, as PyTorch computes it (dampening 0, no Nesterov).
///
/// ```text
/// g ← g + λ·p
/// b ← μ·b + g
/// p ← p − η·b
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// `η`.
    pub learning_rate: f64,
    /// `μ`.
    pub momentum: f64,
    /// `λ`.
    pub weight_decay: f64,
}

/// The gradient of a parameter.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // lives for the length of a call
pub enum Gradient<const D: usize> {
    /// A gradient with the shape of the parameter.
    Whole(Tensor<D>),
    /// The gradient of a weight `[in, out]` (or of a flat one) as factors. On flex the product is
    /// computed piece by piece and never stored as a whole.
    Outer(OuterProduct),
}

impl<const D: usize> From<Tensor<D>> for Gradient<D> {
    fn from(gradient: Tensor<D>) -> Self {
        Self::Whole(gradient)
    }
}

impl<const D: usize> From<OuterProduct> for Gradient<D> {
    fn from(gradient: OuterProduct) -> Self {
        Self::Outer(gradient)
    }
}

impl<const D: usize> Gradient<D> {
    fn into_dispatch(self) -> backend::Gradient<Dispatch> {
        match self {
            Self::Whole(gradient) => backend::Gradient::Whole(gradient.into_dispatch()),
            Self::Outer(OuterProduct { x, gradient }) => {
                backend::Gradient::Outer(x.into_dispatch(), gradient.into_dispatch())
            }
        }
    }
}

/// Takes a step of Adam; returns the new parameter and its two moments.
///
/// All tensors have the same shape and no autodiff graph; the moments are 0 before the first step.
///
/// # Panics
///
/// If the shapes differ.
#[must_use]
pub fn adam<const D: usize>(
    parameter: Tensor<D>,
    gradient: impl Into<Gradient<D>>,
    [first, second]: [Tensor<D>; 2],
    step: Adam,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let (parameter, first, second) = <Dispatch as OptimBackend>::adam(
        parameter.into_dispatch(),
        gradient.into().into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(parameter),
        [Tensor::from_dispatch(first), Tensor::from_dispatch(second)],
    )
}

/// Takes a step of gradient descent; returns the new parameter and its velocity.
///
/// All tensors have the same shape and no autodiff graph; the velocity is 0 before the first step.
///
/// # Panics
///
/// If the shapes differ.
#[must_use]
pub fn sgd<const D: usize>(
    parameter: Tensor<D>,
    gradient: impl Into<Gradient<D>>,
    velocity: Tensor<D>,
    step: Sgd,
) -> (Tensor<D>, Tensor<D>) {
    let (parameter, velocity) = <Dispatch as OptimBackend>::sgd(
        parameter.into_dispatch(),
        gradient.into().into_dispatch(),
        velocity.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(parameter),
        Tensor::from_dispatch(velocity),
    )
}

impl Adam {
    /// `η/(1 − β₁ᵗ)` and `√(1 − β₂ᵗ)`.
    #[allow(clippy::cast_precision_loss)] // A run has far fewer than 2^52 steps.
    fn corrections(&self) -> (f64, f64) {
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powf(self.step as f64));
        (self.learning_rate / first, second.sqrt())
    }
}

#[cfg(test)]
mod tests;
