//! Depthwise convolutions of small images, with channels in the lanes.
//!
//! If an image has only a few pixels, its rows do not fill vectors. Here a vector holds one pixel
//! of as many channels as it has lanes, so that a kernel element costs one multiplication if it is
//! inside the image, and nothing otherwise.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::transpose::Transpose;
use crate::simd::{Kernel, Level, Simd};

/// Maximum number of pixels of a small image.
const SMALL: usize = 50;

/// Minimum number of values per task.
const TASK: usize = 1 << 14;

/// Whether both images of a depthwise convolution are small.
pub(crate) fn fits(g: &Geometry) -> bool {
    super::depthwise::fits(g) && g.pixels_in().max(g.pixels_out()) <= SMALL
}

/// An input pixel, an output pixel and the kernel element that connects them.
#[derive(Clone, Copy)]
struct Join {
    input: usize,
    output: usize,
    tap: usize,
}

fn joins(g: &Geometry) -> Vec<Join> {
    let place = |axis: usize, pixel: usize, tap: usize| {
        (pixel * g.stride[axis] + tap * g.dilation[axis])
            .checked_sub(g.padding[axis])
            .filter(|&place| place < g.input[axis])
    };
    let pairs = (0..g.pixels_out()).flat_map(|output| (0..g.taps()).map(move |tap| (output, tap)));
    pairs
        .filter_map(|(output, tap)| {
            let row = place(0, output / g.output[1], tap / g.kernel[1])?;
            let column = place(1, output % g.output[1], tap % g.kernel[1])?;
            Some(Join {
                input: row * g.input[1] + column,
                output,
                tap,
            })
        })
        .collect()
}

/// Computes the convolution; writes all of `out`.
pub(crate) fn forward(
    level: Level,
    g: &Geometry,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
) {
    let mut terms = vec![Vec::new(); g.pixels_out()];
    for join in joins(g) {
        terms[join.output].push((join.tap, join.input));
    }
    run(level, g, &terms, (input, g.pixels_in()), weight, bias, out);
}

/// Computes the gradient of the input; writes all of `out`.
pub(crate) fn input_grad(
    level: Level,
    g: &Geometry,
    grad: &[f32],
    weight: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    let mut terms = vec![Vec::new(); g.pixels_in()];
    for join in joins(g) {
        terms[join.input].push((join.tap, join.output));
    }
    run(level, g, &terms, (grad, g.pixels_out()), weight, None, out);
}

fn run(
    level: Level,
    g: &Geometry,
    terms: &[Vec<(usize, usize)>],
    (source, pixels): (&[f32], usize),
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
) {
    let image = g.channels_in * (pixels + terms.len());
    let images = TASK.div_ceil(image);
    out.par_chunks_mut(images * g.channels_in * terms.len())
        .zip(source.par_chunks(images * g.channels_in * pixels))
        .for_each(|(out, source)| {
            level.run(Planes {
                g,
                terms,
                pixels,
                source,
                weight,
                bias,
                out,
            });
        });
}

/// Some images.
struct Planes<'a> {
    g: &'a Geometry,
    /// For every target pixel, the kernel element and source pixel of each term.
    terms: &'a [Vec<(usize, usize)>],
    /// Number of pixels of a source image.
    pixels: usize,
    source: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (channels, taps) = (self.g.channels_in, self.g.taps());
        let targets = self.terms.len();
        let mut weights = vec![0.0; taps * S::LANES];
        let mut sources = vec![0.0; self.pixels * S::LANES];
        let mut sums = vec![0.0; targets * S::LANES];
        for first in (0..channels).step_by(S::LANES) {
            let count = S::LANES.min(channels - first);
            lanes_of_rows(s, &self.weight[first * taps..], count, taps, &mut weights);
            let bias = self.bias.map(|bias| &bias[first..first + count]);
            let bias = bias.map_or(s.splat(0.0), |bias| s.load_part(bias));
            let images = self.source.chunks_exact(channels * self.pixels);
            for (image, out) in images.zip(self.out.chunks_exact_mut(channels * targets)) {
                let image = &image[first * self.pixels..];
                lanes_of_rows(s, image, count, self.pixels, &mut sources);
                for (terms, sum) in self.terms.iter().zip(sums.chunks_exact_mut(S::LANES)) {
                    let mut total = bias;
                    for &(tap, pixel) in terms {
                        let weight = s.load(&weights[tap * S::LANES..]);
                        let value = s.load(&sources[pixel * S::LANES..]);
                        total = s.mul_add(weight, value, total);
                    }
                    s.store(total, sum);
                }
                Transpose {
                    source: &sums,
                    rows: targets,
                    columns: count,
                    stride: S::LANES,
                    out: &mut out[first * targets..],
                    out_stride: targets,
                    ahead: 0,
                }
                .run(s);
            }
        }
    }
}

/// Transposes `[row][column]` to `[column][lane]`.
#[inline(always)]
fn lanes_of_rows<S: Simd>(s: S, source: &[f32], rows: usize, columns: usize, out: &mut [f32]) {
    Transpose {
        source,
        rows,
        columns,
        stride: columns,
        out,
        out_stride: S::LANES,
        ahead: 0,
    }
    .run(s);
}

/// Computes the gradient of the weight; writes all of `out`, `[channels, 1, kernel height, kernel
/// width]`.
pub(crate) fn weight_grad(
    level: Level,
    g: &Geometry,
    input: &[f32],
    grad: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    let mut terms = vec![Vec::new(); g.taps()];
    for join in joins(g) {
        terms[join.tap].push((join.input, join.output));
    }
    let lanes = level.lanes();
    out.par_chunks_mut(lanes * g.taps())
        .enumerate()
        .for_each(|(block, out)| {
            level.run(WeightSums {
                g,
                terms: &terms,
                first: block * lanes,
                input,
                grad,
                out,
            });
        });
}

/// The kernels of as many channels as a vector has lanes.
struct WeightSums<'a> {
    g: &'a Geometry,
    /// For every kernel element, the input and output pixel of each term.
    terms: &'a [Vec<(usize, usize)>],
    /// Number of channels before these.
    first: usize,
    input: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for WeightSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let g = self.g;
        let count = S::LANES.min(g.channels_in - self.first);
        let mut inputs = vec![0.0; g.pixels_in() * S::LANES];
        let mut grads = vec![0.0; g.pixels_out() * S::LANES];
        let mut sums = vec![0.0; g.taps() * S::LANES];
        for image in 0..g.batch {
            let plane = image * g.channels_in + self.first;
            let input = &self.input[plane * g.pixels_in()..];
            lanes_of_rows(s, input, count, g.pixels_in(), &mut inputs);
            let grad = &self.grad[plane * g.pixels_out()..];
            lanes_of_rows(s, grad, count, g.pixels_out(), &mut grads);
            for (terms, sum) in self.terms.iter().zip(sums.chunks_exact_mut(S::LANES)) {
                let mut total = s.load(sum);
                for &(input, output) in terms {
                    let value = s.load(&inputs[input * S::LANES..]);
                    let slope = s.load(&grads[output * S::LANES..]);
                    total = s.mul_add(value, slope, total);
                }
                s.store(total, sum);
            }
        }
        Transpose {
            source: &sums,
            rows: g.taps(),
            columns: count,
            stride: S::LANES,
            out: self.out,
            out_stride: g.taps(),
            ahead: 0,
        }
        .run(s);
    }
}
