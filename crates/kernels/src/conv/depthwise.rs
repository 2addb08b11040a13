//! Depthwise convolutions (one kernel per channel) and their gradients.
//!
//! A channel is copied with its padding into a window that is divided by the stride into parts, so
//! that the pixels that one kernel element reads are adjacent. The rows of the window form one long
//! row: a vector may span several rows of a small image, and the values between the rows are
//! discarded afterwards. For the gradient of the input of a convolution with a stride, the window has
//! zeros between the pixels of the gradient: that takes more multiplications than to compute each
//! residue of the stride apart, but reads and writes whole rows.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::sampled::{Phase, Sampled};
use crate::simd::{Kernel, Level, Simd};

/// Number of values that are computed together if a row is long enough.
const WIDE: usize = 8;

/// Number of values after the end of a window and of a row, so that whole vectors can be read.
const SPARE: usize = WIDE * 16;

/// Number of kernel elements whose sums fit into registers.
const TAPS: usize = 9;

/// Minimum number of values per task.
const TASK: usize = 1 << 14;

/// Whether every group has one input and one output channel.
pub(crate) fn fits(g: &Geometry) -> bool {
    g.groups == g.channels_in && g.groups == g.channels_out
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
    let sampled = Sampled::forward(g);
    let plan = Plan::new(&sampled.phases[0], g.input, [1, 1]);
    planes(level, &sampled, &plan, (input, weight, bias), out);
}

/// Computes the gradient of the input; writes all of `out`.
pub(crate) fn input_grad(
    level: Level,
    g: &Geometry,
    grad: &[f32],
    weight: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    let spread = [0, 1].map(|axis| (g.output[axis] - 1) * g.stride[axis] + 1);
    let sampled = Sampled::input_grad(&Geometry {
        output: spread,
        stride: [1, 1],
        ..*g
    });
    let plan = Plan::new(&sampled.phases[0], g.output, g.stride);
    planes(level, &sampled, &plan, (grad, weight, None), out);
}

fn planes(
    level: Level,
    sampled: &Sampled,
    plan: &Plan,
    (source, weight, bias): (&[f32], &[f32], Option<&[f32]>),
    out: &mut [MaybeUninit<f32>],
) {
    let [from, to] = [plan.size, sampled.target].map(|size| size[0] * size[1]);
    let count = TASK.div_ceil(from + to);
    out.par_chunks_mut(count * to)
        .zip(source.par_chunks(count * from))
        .enumerate()
        .for_each(|(task, (out, source))| {
            level.run(Planes {
                sampled,
                plan,
                first: task * count,
                source,
                weight,
                bias,
                out,
            });
        });
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
    let sampled = Sampled::forward(g);
    let plan = Plan::new(&sampled.phases[0], g.input, [1, 1]);
    let values = g.batch * (g.pixels_in() + g.pixels_out());
    let channels = TASK.div_ceil(values);
    out.par_chunks_mut(channels * g.taps())
        .enumerate()
        .for_each(|(task, out)| {
            level.run(WeightSums {
                g,
                plan: &plan,
                first: task * channels,
                input,
                grad,
                out,
            });
        });
}

/// The layout of a channel in its window.
struct Plan<'a> {
    phase: &'a Phase,
    /// Number of rows and columns of a channel.
    size: [usize; 2],
    /// Distance between its pixels in the window, which has zeros between them.
    apart: [usize; 2],
    /// Row and column of the channel at the window's first pixel.
    start: [isize; 2],
    /// Number of rows and columns of each part of the window.
    part: [usize; 2],
    /// For each kernel element, the offset that it reads for the first pixel, and the index of its
    /// weight.
    taps: Vec<(usize, usize)>,
    /// Number of values from the first pixel to the last.
    len: usize,
}

impl<'a> Plan<'a> {
    fn new(phase: &'a Phase, size: [usize; 2], apart: [usize; 2]) -> Self {
        let low: [isize; 2] = std::array::from_fn(|axis| {
            let offsets = phase.taps.iter().map(|tap| tap.offset[axis]);
            offsets.min().unwrap_or(0)
        });
        let reach: [usize; 2] = std::array::from_fn(|axis| {
            let offsets = phase.taps.iter().map(|tap| tap.offset[axis] - low[axis]);
            offsets.max().unwrap_or(0).cast_unsigned()
        });
        let part: [usize; 2] = std::array::from_fn(|axis| {
            let size = (phase.grid[axis] - 1) * phase.step[axis] + reach[axis] + 1;
            size.div_ceil(phase.step[axis])
        });
        let taps = phase
            .taps
            .iter()
            .map(|tap| {
                let [row, column] =
                    [0, 1].map(|axis| (tap.offset[axis] - low[axis]).cast_unsigned());
                let [down, right] = phase.step;
                let which = row % down * right + column % right;
                let at = which * part[0] * part[1] + row / down * part[1] + column / right;
                (at, tap.kernel)
            })
            .collect();
        Self {
            phase,
            size,
            apart,
            start: low,
            part,
            taps,
            len: (phase.grid[0] - 1) * part[1] + phase.grid[1],
        }
    }

    /// Allocates a window of zeros.
    fn window(&self) -> Vec<f32> {
        let parts = self.phase.step[0] * self.phase.step[1];
        vec![0.0; parts * self.part[0] * self.part[1] + SPARE]
    }

    /// Copies a channel into its window.
    #[inline(always)]
    fn copy<S: Simd>(&self, s: S, channel: &[f32], window: &mut [f32]) {
        if self.apart == [1, 1] {
            self.copy_parts(s, channel, window);
        } else {
            self.copy_apart(channel, window);
        }
    }

    /// Copies the pixels of each residue of the stride into a part of its own.
    #[inline(always)]
    fn copy_parts<S: Simd>(&self, s: S, channel: &[f32], window: &mut [f32]) {
        let [rows, columns] = self.part;
        let [down, right] = self.phase.step;
        for (which, part) in window[..down * right * rows * columns]
            .chunks_exact_mut(rows * columns)
            .enumerate()
        {
            let top = self.start[0] + (which / right).cast_signed();
            let left = self.start[1] + (which % right).cast_signed();
            // Columns of the part that are inside the channel.
            let count = |end: isize| {
                usize::try_from(end)
                    .unwrap_or(0)
                    .div_ceil(right)
                    .min(columns)
            };
            let first = count(-left);
            let last = count(self.size[1].cast_signed() - left).max(first);
            for (row, out) in part.chunks_exact_mut(columns).enumerate() {
                let row = top + (row * down).cast_signed();
                let inside = usize::try_from(row).ok().filter(|&row| row < self.size[0]);
                let Some(row) = inside.filter(|_| first < last) else {
                    continue;
                };
                let column = (left + (first * right).cast_signed()).cast_unsigned();
                let from = &channel[row * self.size[1] + column..(row + 1) * self.size[1]];
                let out = &mut out[first..last];
                match right {
                    1 => s.copy(&from[..out.len()], out),
                    2 => every_second(from, out),
                    _ => {
                        for (out, &value) in out.iter_mut().zip(from.iter().step_by(right)) {
                            *out = value;
                        }
                    }
                }
            }
        }
    }

    /// Copies the pixels with zeros between them, which the window has already.
    #[inline(always)]
    fn copy_apart(&self, channel: &[f32], window: &mut [f32]) {
        // Row or column of the window of a row or column of the channel; those before and after the
        // window are not read.
        let place = |axis: usize, index: usize| {
            let place = (index * self.apart[axis]).cast_signed() - self.start[axis];
            usize::try_from(place)
                .ok()
                .filter(|place| *place < self.part[axis])
        };
        let columns = 0..self.size[1];
        let Some(first) = columns.clone().find(|column| place(1, *column).is_some()) else {
            return;
        };
        let (left, right) = (place(1, first).unwrap_or(0), self.apart[1]);
        for (row, from) in channel.chunks_exact(self.size[1]).enumerate() {
            let Some(row) = place(0, row) else {
                continue;
            };
            let out = &mut window[row * self.part[1] + left..(row + 1) * self.part[1]];
            let from = &from[first..];
            if right == 2 {
                let (pairs, rest) = out.as_chunks_mut::<2>();
                for (pair, &value) in pairs.iter_mut().zip(from) {
                    *pair = [value, 0.0];
                }
                if let (Some(out), Some(&value)) = (rest.first_mut(), from.get(pairs.len())) {
                    *out = value;
                }
            } else {
                for (out, &value) in out.iter_mut().step_by(right).zip(from) {
                    *out = value;
                }
            }
        }
    }
}

/// Copies every second value, beginning with the first.
#[inline(always)]
fn every_second(from: &[f32], out: &mut [f32]) {
    let (pairs, rest) = from.as_chunks::<2>();
    let count = out.len();
    for (out, pair) in out.iter_mut().zip(pairs) {
        *out = pair[0];
    }
    if let (true, Some(&value)) = (count > pairs.len(), rest.first()) {
        out[pairs.len()] = value;
    }
}

/// Some channels of the output.
struct Planes<'a> {
    sampled: &'a Sampled,
    plan: &'a Plan<'a>,
    /// Number of channels, over all images, before these.
    first: usize,
    source: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let plan = self.plan;
        let [source, target] = [plan.size, self.sampled.target];
        let taps = self.weight.len() / self.sampled.groups;
        let mut window = plan.window();
        let mut row = vec![0.0; plan.len + SPARE];
        for (plane, (out, channel)) in self
            .out
            .chunks_exact_mut(target[0] * target[1])
            .zip(self.source.chunks_exact(source[0] * source[1]))
            .enumerate()
        {
            plan.copy(s, channel, &mut window);
            let channel = (self.first + plane) % self.sampled.groups;
            let weight = &self.weight[channel * taps..(channel + 1) * taps];
            let bias = s.splat(self.bias.map_or(0.0, |bias| bias[channel]));
            let wide = plan.len - plan.len % (WIDE * S::LANES);
            for at in (0..wide).step_by(WIDE * S::LANES) {
                pixels::<S, WIDE>(s, plan, weight, bias, &window[at..], &mut row[at..]);
            }
            for at in (wide..plan.len).step_by(2 * S::LANES) {
                pixels::<S, 2>(s, plan, weight, bias, &window[at..], &mut row[at..]);
            }
            for (values, out) in row
                .chunks(plan.part[1])
                .zip(out.chunks_exact_mut(target[1]))
            {
                s.fill(&values[..out.len()], out);
            }
        }
    }
}

/// Computes `COUNT` vectors of adjacent pixels.
#[inline(always)]
fn pixels<S: Simd, const COUNT: usize>(
    s: S,
    plan: &Plan,
    weight: &[f32],
    bias: S::V,
    window: &[f32],
    out: &mut [f32],
) {
    let mut sums = [bias; COUNT];
    for &(at, kernel) in &plan.taps {
        let weight = s.splat(weight[kernel]);
        let window = &window[at..][..COUNT * S::LANES];
        for i in 0..COUNT {
            sums[i] = s.mul_add(weight, s.load(&window[i * S::LANES..]), sums[i]);
        }
    }
    let out = &mut out[..COUNT * S::LANES];
    for i in 0..COUNT {
        s.store(sums[i], &mut out[i * S::LANES..]);
    }
}

/// The gradients of the kernels of some channels.
struct WeightSums<'a> {
    g: &'a Geometry,
    plan: &'a Plan<'a>,
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
        let (g, plan) = (self.g, self.plan);
        let mut window = plan.window();
        let mut row = vec![0.0; plan.len + SPARE];
        let mut sums = vec![[s.splat(0.0); TAPS]; g.taps().div_ceil(TAPS)];
        for (channel, out) in self.out.chunks_exact_mut(g.taps()).enumerate() {
            let channel = self.first + channel;
            sums.fill([s.splat(0.0); TAPS]);
            for image in 0..g.batch {
                let plane = image * g.channels_in + channel;
                let input = &self.input[plane * g.pixels_in()..][..g.pixels_in()];
                plan.copy(s, input, &mut window);
                let grad = &self.grad[plane * g.pixels_out()..][..g.pixels_out()];
                for (grad, row) in grad
                    .chunks_exact(g.output[1])
                    .zip(row.chunks_mut(plan.part[1]))
                {
                    s.copy(grad, &mut row[..grad.len()]);
                }
                for (taps, sums) in plan.taps.chunks(TAPS).zip(&mut sums) {
                    // Padded with the first element.
                    let at: [usize; TAPS] =
                        std::array::from_fn(|tap| taps.get(tap).unwrap_or(&taps[0]).0);
                    add(s, plan.len, &row, &window, &at, sums);
                }
            }
            for (tap, out) in out.iter_mut().enumerate() {
                out.write(s.sum(sums[tap / TAPS][tap % TAPS]));
            }
        }
    }
}

/// Adds the products of a row with the window at several offsets.
#[inline(always)]
fn add<S: Simd>(
    s: S,
    len: usize,
    row: &[f32],
    window: &[f32],
    at: &[usize; TAPS],
    sums: &mut [S::V; TAPS],
) {
    let mut all = *sums;
    let windows = at.map(|at| &window[at..][..len + S::LANES]);
    for place in (0..len).step_by(S::LANES) {
        let values = s.load(&row[place..]);
        for tap in 0..TAPS {
            all[tap] = s.mul_add(values, s.load(&windows[tap][place..]), all[tap]);
        }
    }
    *sums = all;
}
