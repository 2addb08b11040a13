//! The nonlinearities that are computed with a normalisation, and their slopes.

#![allow(clippy::inline_always)] // or they are not compiled for the processor's instructions

use burn::Tensor;
use burn::tensor::activation::{relu, silu};

/// What follows a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)` (Howard et al. 2017, arXiv:1704.04861).
    Relu6,
    /// `x · sigmoid(x)` (Ramachandran et al. 2017, arXiv:1710.05941).
    Silu,
}

impl Activation {
    /// The activation by itself, as Burn's own operation.
    #[must_use]
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => silu(x),
        }
    }
}

/// An activation as kernels are compiled for it. What is no number stays so.
pub(super) trait Curve: Copy {
    /// Whether the slope is 0 or 1 everywhere, so that a bit keeps it.
    const STEPS: bool;
    /// Its value at `x`.
    fn value(self, x: f32) -> f32;
    /// Its slope at `x`.
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

/// `eˣ` within 2 units in the last place, in operations that become vectors: `2ⁿ` by its bits times
/// a polynomial of the rest (Cephes' `expf`).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding it leaves the nearest whole number in the last bits.
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
