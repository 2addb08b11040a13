//! Activations that are computed together with a normalisation, and their derivatives.

#![allow(clippy::inline_always)] // so that they are compiled for the instruction set

use burn::Tensor;
use burn::tensor::activation::{relu, silu};

/// The activation after a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// No activation.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)` (Howard et al. 2017, arXiv:1704.04861).
    Relu6,
    /// `x · sigmoid(x)` (Ramachandran et al. 2017, arXiv:1710.05941).
    Silu,
    /// `x · min(max(x + 3, 0), 6) / 6` (Howard et al. 2019, arXiv:1905.02244, section 5.2).
    HardSwish,
}

impl Activation {
    /// Computes the activation with Burn's operation.
    #[must_use]
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => silu(x),
            Self::HardSwish => x.clone() * hard_sigmoid(x),
        }
    }

    /// Whether the derivative is more than one bit, so that the backward pass needs the value before the
    /// activation.
    pub(super) fn bends(self) -> bool {
        matches!(self, Self::Silu | Self::HardSwish)
    }
}

/// `min(max(x + 3, 0), 6) / 6` (Howard et al. 2019, arXiv:1905.02244, section 5.2).
#[must_use]
pub fn hard_sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.add_scalar(3.0).clamp(0.0, 6.0).div_scalar(6.0)
}

/// An activation, for which a kernel is compiled. NaN stays NaN.
pub(super) trait Curve: Copy {
    /// Whether the derivative is 0 or 1 everywhere, so that one bit can store it.
    const STEPS: bool;
    /// The value at `x`.
    fn value(self, x: f32) -> f32;
    /// The derivative at `x`.
    fn slope(self, x: f32) -> f32;
}

#[derive(Clone, Copy)]
pub(super) struct Identity;

impl Curve for Identity {
    const STEPS: bool = true;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn slope(self, _: f32) -> f32 {
        1.0
    }
}

#[derive(Clone, Copy)]
pub(super) struct Relu;

impl Curve for Relu {
    const STEPS: bool = true;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { 1.0 }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Relu6;

impl Curve for Relu6 {
    const STEPS: bool = true;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        let x = if x <= 0.0 { 0.0 } else { x };
        if x >= 6.0 { 6.0 } else { x }
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let above = if x <= 0.0 { 0.0 } else { 1.0 };
        if x >= 6.0 { 0.0 } else { above }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Silu;

impl Curve for Silu {
    const STEPS: bool = false;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x / (1.0 + exp(-x))
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let sigmoid = 1.0 / (1.0 + exp(-x));
        sigmoid * (1.0 + x * (1.0 - sigmoid))
    }
}

#[derive(Clone, Copy)]
pub(super) struct HardSwish;

impl Curve for HardSwish {
    const STEPS: bool = false;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * Relu6.value(x + 3.0) / 6.0
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        let below = if x <= -3.0 {
            0.0
        } else {
            (2.0 * x + 3.0) / 6.0
        };
        if x >= 3.0 { 1.0 } else { below }
    }
}

/// `eˣ` with an error of at most 2 units in the last place, in operations that can be vectorised:
/// `2ⁿ` from its bits times a polynomial of the remainder (Cephes' `expf`).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding this constant leaves the nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    p * power
}
