//! Compares the results of every kernel, for every instruction set, with sums in `f64`.

use std::mem::MaybeUninit;

use proptest::prelude::*;

use super::choose;
use super::depthwise;
use super::geometry::Geometry;
use super::sampled::Sampled;
use super::weight;
use super::winograd::{self, Tile, Winograd};
use crate::memory::written;
use crate::simd::Level;

/// The convolution, the gradient of its input and the gradient of its weight.
pub(super) struct Reference {
    pub(super) output: Vec<f64>,
    pub(super) input: Vec<f64>,
    pub(super) weight: Vec<f64>,
}

impl Reference {
    pub(super) fn new(g: &Geometry, x: &[f32], w: &[f32], bias: &[f32], grad: &[f32]) -> Self {
        let mut all = Self {
            output: (0..grad.len())
                .map(|at| f64::from(bias[at / g.pixels_out() % g.channels_out]))
                .collect(),
            input: vec![0.0; x.len()],
            weight: vec![0.0; w.len()],
        };
        for (out, &slope) in grad.iter().enumerate() {
            let (pixel, plane) = (out % g.pixels_out(), out / g.pixels_out());
            let (filter, image) = (plane % g.channels_out, plane / g.channels_out);
            for seen in 0..g.group_in() * g.taps() {
                let (channel, tap) = (seen / g.taps(), seen % g.taps());
                let channel = filter / g.group_out() * g.group_in() + channel;
                let source = |axis: usize, pixel: usize, tap: usize| {
                    (pixel * g.stride[axis] + tap * g.dilation[axis]).checked_sub(g.padding[axis])
                };
                let row = source(0, pixel / g.output[1], tap / g.kernel[1]);
                let column = source(1, pixel % g.output[1], tap % g.kernel[1]);
                let (Some(row), Some(column)) = (row, column) else {
                    continue;
                };
                if row >= g.input[0] || column >= g.input[1] {
                    continue;
                }
                let plane = image * g.channels_in + channel;
                let at = (plane * g.input[0] + row) * g.input[1] + column;
                let weight = filter * g.group_in() * g.taps() + seen;
                let [value, factor, slope] = [x[at], w[weight], slope].map(f64::from);
                all.output[out] += value * factor;
                all.input[at] += slope * factor;
                all.weight[weight] += slope * value;
            }
        }
        all
    }
}

/// Returns random numbers from -½ to ½ that depend only on the seed.
#[allow(clippy::cast_precision_loss)]
pub(super) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

#[allow(unsafe_code, reason = "in tests, values that are not written are NaN")]
pub(super) fn compare(what: &str, expected: &[f64], run: impl FnOnce(&mut [MaybeUninit<f32>])) {
    // SAFETY: in tests, the buffer is already initialised.
    let found = unsafe { written(expected.len(), run) };
    let largest = expected.iter().fold(1e-2_f64, |most, x| most.max(x.abs()));
    for (&found, expected) in found.iter().zip(expected) {
        let difference = (f64::from(found) - expected).abs();
        // Not `>`, so that NaN fails as well.
        assert!(difference < 1e-5 * largest, "{what}: {found}, {expected}");
    }
}

fn check(g: &Geometry) {
    let x = numbers(g.batch * g.image_in(), 1);
    let w = numbers(g.channels_out * g.group_in() * g.taps(), 2);
    let bias = numbers(g.channels_out, 3);
    let grad = numbers(g.batch * g.image_out(), 4);
    let expected = Reference::new(g, &x, &w, &bias, &grad);
    for level in Level::all() {
        compare("output", &expected.output, |out| {
            choose::forward(level, g, &x, &w, Some(&bias), out);
        });
        compare("input", &expected.input, |out| {
            choose::input_grad(level, g, &grad, &w, out);
        });
        compare("weight", &expected.weight, |out| {
            choose::weight_grad(level, g, &x, &grad, out);
        });
        if winograd::fits(g) {
            check_winograd(level, g, [&x, &w, &bias, &grad], &expected);
        }
        // Tests the general kernels on the same geometry, even if `choose` prefers a special one.
        if depthwise::fits(g) {
            compare("depthwise output", &expected.output, |out| {
                depthwise::forward(level, g, &x, &w, Some(&bias), out);
            });
            compare("depthwise input", &expected.input, |out| {
                depthwise::input_grad(level, g, &grad, &w, out);
            });
            compare("depthwise weight", &expected.weight, |out| {
                depthwise::weight_grad(level, g, &x, &grad, out);
            });
        }
        compare("sampled output", &expected.output, |out| {
            Sampled::forward(g).run(level, &x, &w, Some(&bias), out);
        });
        compare("sampled input", &expected.input, |out| {
            Sampled::input_grad(g).run(level, &grad, &w, None, out);
        });
        compare("general weight", &expected.weight, |out| {
            weight::weight_grad(level, g, &x, &grad, out);
        });
    }
}

fn check_winograd(level: Level, g: &Geometry, values: [&[f32]; 4], expected: &Reference) {
    let [x, w, bias, grad] = values;
    for tile in [Tile::Two, Tile::Four] {
        compare("Winograd output", &expected.output, |out| {
            Winograd::forward(g).run(tile, level, x, w, Some(bias), out);
        });
        compare("Winograd input", &expected.input, |out| {
            Winograd::input_grad(g).run(tile, level, grad, w, None, out);
        });
        compare("Winograd weight", &expected.weight, |out| {
            winograd::weight_grad(tile, level, g, x, grad, out);
        });
    }
}

prop_compose! {
    fn geometry()(
        kind in 0..4_u8,
        batch in 1..6_usize,
        groups in prop_oneof![3 => Just(1_usize), 1 => 2..4_usize],
        channels in (1..10_usize, prop_oneof![3 => 1..12_usize, 1 => 12..70_usize]),
        room in (0..12_usize, 0..40_usize),
        kernel in (1..6_usize, 1..6_usize),
        stride in (1..4_usize, 1..4_usize),
        padding in (0..3_usize, 0..3_usize),
        dilation in (1..3_usize, 1..3_usize),
    ) -> Geometry {
        let (kernel, padding) = if kind == 1 { ((1, 1), (0, 0)) } else { (kernel, padding) };
        // What Winograd's convolution computes.
        let (kernel, stride, dilation) = if kind == 3 {
            ((3, 3), (1, 1), (1, 1))
        } else {
            (kernel, stride, dilation)
        };
        let (channels_in, channels_out, groups) = match kind {
            3 => (channels.1, channels.0, 1),
            0 => (groups * channels.0, groups * channels.1, groups),
            1 => (channels.0, channels.1, 1),
            _ => (channels.0, channels.0, channels.0),
        };
        let axis = |room: usize, kernel: usize, stride: usize, padding: usize, dilation: usize| {
            let span = dilation * (kernel - 1) + 1;
            let input = (span + room).saturating_sub(2 * padding).max(1);
            (input, ((input + 2 * padding).max(span) - span) / stride + 1)
        };
        let rows = axis(room.0, kernel.0, stride.0, padding.0, dilation.0);
        let columns = axis(room.1, kernel.1, stride.1, padding.1, dilation.1);
        Geometry {
            batch,
            channels_in,
            channels_out,
            input: [rows.0, columns.0],
            output: [rows.1, columns.1],
            kernel: [kernel.0, kernel.1],
            stride: [stride.0, stride.1],
            padding: [padding.0, padding.1],
            dilation: [dilation.0, dilation.1],
            groups,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn kernels_agree_with_the_sums(g in geometry()) {
        check(&g);
    }
}

/// The last layers of a network have more weights than pixels, and windows that extend far beyond
/// the images.
#[test]
fn kernels_agree_with_the_sums_for_small_images_with_many_channels() {
    let square =
        |batch, [channels_in, channels_out]: [usize; 2], side: usize, stride: usize, groups| {
            let output = (side + 2 - 3) / stride + 1;
            Geometry {
                batch,
                channels_in,
                channels_out,
                input: [side, side],
                output: [output, output],
                kernel: [3, 3],
                stride: [stride, stride],
                padding: [1, 1],
                dilation: [1, 1],
                groups,
            }
        };
    check(&square(5, [20, 130], 2, 1, 1));
    check(&square(33, [66, 120], 3, 1, 1));
    check(&square(3, [24, 100], 4, 2, 1));
    check(&square(40, [48, 100], 1, 1, 2));
}

/// With a stride of 2 and a padding of 2, there are as many outputs as inputs, but each belongs to
/// another pixel.
#[test]
fn as_many_outputs_as_inputs_are_not_the_same_pixels() {
    check(&Geometry {
        batch: 1,
        channels_in: 1,
        channels_out: 2,
        input: [4, 1],
        output: [4, 1],
        kernel: [1, 1],
        stride: [2, 1],
        padding: [2, 0],
        dilation: [1, 1],
        groups: 1,
    });
}
