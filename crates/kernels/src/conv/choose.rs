//! Selects the kernel that computes a convolution.
//!
//! Depthwise convolutions and `1 × 1` convolutions have kernels of their own. For `3 × 3` kernels
//! with stride 1, [`winograd::best`] estimates whether Winograd's convolution needs less work than
//! the direct kernels, which compute all others. The choice depends on shapes only, and on the precision
//! ([`crate::precision`]): in bfloat16 all convolutions of enough channels are computed by [`crate::bf16`].

use std::mem::MaybeUninit;

use super::depthwise;
use super::geometry::Geometry;
use super::pointwise::{self, Pointwise};
use super::sampled::Sampled;
use super::small;
use super::sums;
use super::weight;
use super::winograd::{self, Pass, Winograd};
use crate::bf16::{self, Unit};
use crate::precision;
use crate::simd::Level;

/// What computes a convolution in bfloat16, if that was chosen and it has enough channels.
fn in_bf16(g: &Geometry) -> Option<Unit> {
    precision::unit().filter(|_| bf16::fits(g))
}

/// Computes the convolution; writes all of `out`, `[batch, channels out, height, width]`.
pub(crate) fn forward(
    level: Level,
    g: &Geometry,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
) {
    if small::fits(g) {
        small::forward(level, g, input, weight, bias, out);
    } else if depthwise::fits(g) {
        depthwise::forward(level, g, input, weight, bias, out);
    } else if let Some(unit) = in_bf16(g) {
        bf16::images(unit, &Sampled::forward(g), input, weight, bias, out);
    } else if Pointwise::fits(g) {
        Pointwise::forward(g).run(level, input, weight, bias, out);
    } else if let Some(tile) = winograd::best(g, Pass::Images) {
        Winograd::forward(g).run(tile, level, input, weight, bias, out);
    } else {
        Sampled::forward(g).run(level, input, weight, bias, out);
    }
}

/// One of two convolutions of the same input, which differ in their channels alone.
pub(crate) struct Layer<'a, 'o> {
    pub(crate) g: &'a Geometry,
    pub(crate) weight: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) out: &'o mut [MaybeUninit<f32>],
}

/// Computes two convolutions; writes all of their outputs. If the same kernel computes both, it arranges
/// the input once for both.
pub(crate) fn forward_pair(level: Level, input: &[f32], one: Layer<'_, '_>, two: Layer<'_, '_>) {
    let shares = |g: &Geometry| {
        !small::fits(g)
            && !depthwise::fits(g)
            && in_bf16(g).is_none()
            && winograd::best(g, Pass::Images).is_none()
    };
    let mut both = [one, two];
    if Pointwise::fits(both[0].g) && both.iter().all(|layer| in_bf16(layer.g).is_none()) {
        let parts = both.each_mut().map(|layer| pointwise::Part {
            shape: Pointwise::forward(layer.g),
            matrix: layer.weight,
            bias: layer.bias,
            out: &mut *layer.out,
        });
        pointwise::run(level, input, parts);
    } else if both.iter().all(|layer| shares(layer.g)) {
        let parts = both.each_mut().map(|layer| sums::Part {
            sampled: Sampled::forward(layer.g),
            weight: layer.weight,
            bias: layer.bias,
            out: &mut *layer.out,
        });
        sums::run(level, input, parts);
    } else {
        for layer in both {
            forward(level, layer.g, input, layer.weight, layer.bias, layer.out);
        }
    }
}

/// Computes the gradient of the input; writes all of `out`.
pub(crate) fn input_grad(
    level: Level,
    g: &Geometry,
    grad: &[f32],
    weight: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    if small::fits(g) {
        small::input_grad(level, g, grad, weight, out);
    } else if depthwise::fits(g) {
        depthwise::input_grad(level, g, grad, weight, out);
    } else if let Some(unit) = in_bf16(g) {
        bf16::images(unit, &Sampled::input_grad(g), grad, weight, None, out);
    } else if Pointwise::fits(g) && g.stride == [1, 1] {
        Pointwise::input_grad(g).run(level, grad, weight, None, out);
    } else if let Some(tile) = winograd::best(g, Pass::Images) {
        Winograd::input_grad(g).run(tile, level, grad, weight, None, out);
    } else {
        Sampled::input_grad(g).run(level, grad, weight, None, out);
    }
}

/// Computes the gradient of the weight; writes all of `out`.
pub(crate) fn weight_grad(
    level: Level,
    g: &Geometry,
    input: &[f32],
    grad: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    if small::fits(g) {
        small::weight_grad(level, g, input, grad, out);
    } else if depthwise::fits(g) {
        depthwise::weight_grad(level, g, input, grad, out);
    } else if let Some(unit) = in_bf16(g) {
        bf16::weight_grad(unit, g, input, grad, out);
    } else if let Some(tile) = winograd::best(g, Pass::Weight) {
        winograd::weight_grad(tile, level, g, input, grad, out);
    } else {
        weight::weight_grad(level, g, input, grad, out);
    }
}
