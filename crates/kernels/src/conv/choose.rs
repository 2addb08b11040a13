//! Selects the kernel that computes a convolution.
//!
//! Depthwise convolutions and `1 × 1` convolutions have kernels of their own. For `3 × 3` kernels
//! with stride 1, [`winograd::best`] estimates whether Winograd's convolution needs less work than
//! the direct kernels, which compute all others. The choice depends on shapes only, and on the precision
//! ([`crate::precision`]): in bfloat16 all convolutions of enough channels are computed by [`crate::bf16`].

use std::mem::MaybeUninit;

use super::depthwise;
use super::geometry::Geometry;
use super::part::Part;
use super::pointwise::{self, Pointwise};
use super::sampled::Sampled;
use super::small;
use super::sums;
use super::weight;
use super::winograd::{self, Pass, Tile, Winograd};
use crate::bf16::{self, Unit};
use crate::precision;
use crate::simd::Level;

/// What computes a convolution in bfloat16, if that was chosen and it has enough channels.
fn in_bf16(g: &Geometry) -> Option<Unit> {
    precision::unit().filter(|_| bf16::fits(g))
}

/// The kernels that compute images: outputs and gradients of inputs.
enum Choice {
    Small,
    Depthwise,
    Bf16(Unit),
    Pointwise,
    Winograd(Tile),
    Sampled,
}

impl Choice {
    fn of(g: &Geometry, is_pointwise: bool) -> Self {
        if small::fits(g) {
            Self::Small
        } else if depthwise::fits(g) {
            Self::Depthwise
        } else if let Some(unit) = in_bf16(g) {
            Self::Bf16(unit)
        } else if is_pointwise {
            Self::Pointwise
        } else if let Some(tile) = winograd::best(g, Pass::Images) {
            Self::Winograd(tile)
        } else {
            Self::Sampled
        }
    }
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
    match Choice::of(g, Pointwise::fits(g)) {
        Choice::Small => small::forward(level, g, input, weight, bias, out),
        Choice::Depthwise => depthwise::forward(level, g, input, weight, bias, out),
        Choice::Bf16(unit) => bf16::images(unit, &Sampled::forward(g), input, weight, bias, out),
        Choice::Pointwise => Pointwise::forward(g).run(level, input, weight, bias, out),
        Choice::Winograd(tile) => {
            Winograd::forward(g).run(tile, level, input, weight, bias, out);
        }
        Choice::Sampled => Sampled::forward(g).run(level, input, weight, bias, out),
    }
}

/// Computes two convolutions of one input; writes all of their outputs. If the same kernel computes both and
/// can, it arranges the input once for both.
pub(crate) fn forward_pair(level: Level, input: &[f32], both: [Part<'_, '_, &Geometry>; 2]) {
    let choices = both
        .each_ref()
        .map(|part| Choice::of(part.shape, Pointwise::fits(part.shape)));
    match choices {
        [Choice::Pointwise, Choice::Pointwise] => {
            pointwise::run(level, input, both.map(|part| part.seen(Pointwise::forward)));
        }
        [Choice::Sampled, Choice::Sampled] => {
            sums::run(level, input, both.map(|part| part.seen(Sampled::forward)));
        }
        _ => {
            for part in both {
                forward(level, part.shape, input, part.weight, part.bias, part.out);
            }
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
    match Choice::of(g, Pointwise::fits(g) && g.stride == [1, 1]) {
        Choice::Small => small::input_grad(level, g, grad, weight, out),
        Choice::Depthwise => depthwise::input_grad(level, g, grad, weight, out),
        Choice::Bf16(unit) => bf16::images(unit, &Sampled::input_grad(g), grad, weight, None, out),
        Choice::Pointwise => Pointwise::input_grad(g).run(level, grad, weight, None, out),
        Choice::Winograd(tile) => {
            Winograd::input_grad(g).run(tile, level, grad, weight, None, out);
        }
        Choice::Sampled => Sampled::input_grad(g).run(level, grad, weight, None, out),
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
