//! The gradient of the weight.
//!
//! The inner size of the products is the pixels of the images. The left operand is the planes of the input,
//! of which a tile of a kernel element is 16 channels at the distance of the element; the right one is the
//! gradient of the output at the same places, with zeros between rows and images. Images are added in a
//! fixed order, whatever the number of threads.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::{Scratch, WORDS, half, pairs_in_row, transpose};
use super::plane::Planes;
use super::unit::{BLOCK, INNER, Operand, Ready, Steps, TILE, Unit};
use crate::conv::geometry::Geometry;
use crate::conv::sampled::Sampled;
use crate::conv::transpose::Target;
use crate::lanes::{Loop, widest};
use crate::linear::gemm::places;
use crate::simd::{self, Kernel, Simd};

/// Number of bytes of both operands of some images, unless one image or the sums have more.
const IMAGES: usize = 1 << 20;

/// Number of pairs of tiles of output channels of a task, at most.
const COLUMNS: usize = 8;

/// Computes the gradient of the weight; writes all of `out`, `[channels out, channels in / groups, kernel
/// height, kernel width]`.
pub(crate) fn weight_grad(
    unit: Unit,
    g: &Geometry,
    input: &[f32],
    grad: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    let sampled = Sampled::forward(g);
    let planes = Planes::new(&sampled.phases[0], g.input);
    let outs = out.chunks_exact_mut(g.group_out() * g.group_in() * g.taps());
    for (group, out) in outs.enumerate() {
        Work::new(unit, g, group, &planes).run(input, grad, out);
    }
}

/// The gradient of one group.
struct Work<'a> {
    unit: Unit,
    g: &'a Geometry,
    group: usize,
    planes: &'a Planes,
    /// Number of input channels of a task: the tiles of all their kernel elements.
    some: usize,
    /// Number of tiles of output channels, an even number.
    rights: usize,
    /// Number of images that are added at a time.
    images: usize,
    /// Number of steps through their pixels, and the steps, some at a time.
    steps: usize,
    parts: Vec<Steps>,
    /// Distance between the channels of a plane.
    stride: usize,
}

/// The sums of some input and some output channels.
struct Sums<'o> {
    /// The input channels times the kernel elements, and the output channels.
    columns: Range<usize>,
    targets: Range<usize>,
    /// `[two left tiles][two right tiles][32][32]`
    values: Vec<f32>,
    /// Where the sums go in the end, for each output channel.
    out: Vec<&'o mut [MaybeUninit<f32>]>,
}

impl<'a> Work<'a> {
    fn new(unit: Unit, g: &'a Geometry, group: usize, planes: &'a Planes) -> Self {
        let values = planes.pixels() * (planes.count() * g.group_in() + g.group_out());
        let sums = 4 * g.group_in() * g.group_out() * g.taps();
        let images = (IMAGES.max(sums) / 2 / values).clamp(1, g.batch);
        let steps = (images * planes.pixels()).div_ceil(INNER);
        Self {
            unit,
            g,
            group,
            planes,
            some: if g.taps() == 1 { 2 * TILE } else { TILE },
            rights: g.group_out().next_multiple_of(BLOCK) / TILE,
            images,
            steps,
            parts: Steps::new((0..steps).map(|step| [step * INNER, 2 * step * WORDS])).parts(),
            // An odd number of lines, so that the rows of a tile do not share the places of a cache.
            stride: (steps * INNER) | INNER,
        }
    }

    /// Number of channels of the planes, whole tiles.
    fn channels(&self) -> usize {
        self.g.group_in().next_multiple_of(self.some)
    }

    /// Number of pairs of left tiles of a task.
    fn pairs(&self) -> usize {
        (self.some / TILE * self.g.taps()).div_ceil(2)
    }

    fn run(&self, input: &[f32], grad: &[f32], out: &mut [MaybeUninit<f32>]) {
        let g = self.g;
        let line = g.group_in() * g.taps();
        let parts = |all: usize, some: usize| -> Vec<Range<usize>> {
            let firsts = (0..all).step_by(some);
            firsts.map(|first| first..all.min(first + some)).collect()
        };
        let of_targets = parts(g.group_out(), COLUMNS * BLOCK);
        let of_columns = parts(line, self.some * g.taps());
        let mut tasks: Vec<Sums> = places(out, line, &of_targets, &of_columns)
            .into_iter()
            .map(|(targets, columns, out)| Sums {
                columns,
                targets,
                values: Vec::new(),
                out,
            })
            .collect();
        let values = self.planes.count() * self.channels() * self.stride;
        // What is beyond the last pixel is multiplied by zeros, and must be numbers.
        let all = values + self.planes.reach() + INNER;
        let mut left = Scratch::new(all.div_ceil(2));
        left.halves_mut()[..all].fill(0);
        let packed = self.rights * self.steps * WORDS;
        let mut right = Scratch::new(packed);
        let chunks = g.batch.div_ceil(self.images);
        let inputs = input.chunks(self.images * g.image_in());
        let grads = grad.chunks(self.images * g.image_out());
        for (chunk, (input, grad)) in inputs.zip(grads).enumerate() {
            self.pack_input(input, &mut left.halves_mut()[..values]);
            self.pack_grad(grad, &mut right.words()[..packed]);
            let (left, right) = (left.halves(), right.halves());
            tasks.par_iter_mut().for_each_init(
                || self.unit.ready(),
                |ready, task| {
                    if chunks == 1 {
                        // The sums stay in the cache.
                        let mut sums = Scratch::new(self.sums(task));
                        self.add(ready, task, (left, right), sums.floats(), true);
                        self.place(task, sums.floats());
                    } else {
                        let mut sums = std::mem::take(&mut task.values);
                        sums.resize(self.sums(task), 0.0);
                        self.add(ready, task, (left, right), &mut sums, chunk == 0);
                        if chunk + 1 == chunks {
                            self.place(task, &sums);
                        } else {
                            task.values = sums;
                        }
                    }
                },
            );
        }
    }

    /// Number of sums of a task.
    fn sums(&self, task: &Sums) -> usize {
        self.pairs() * task.targets.len().div_ceil(BLOCK) * BLOCK * BLOCK
    }

    /// Packs some images as `[plane][channel][pixel]`.
    fn pack_input(&self, input: &[f32], out: &mut [u16]) {
        let g = self.g;
        out.par_chunks_mut(self.stride)
            .enumerate()
            .for_each(|(at, out)| {
                let (plane, channel) = (at / self.channels(), at % self.channels());
                if channel < g.group_in() {
                    widest(Halves {
                        planes: self.planes,
                        plane,
                        images: input.chunks_exact(g.image_in()),
                        first: (self.group * g.group_in() + channel) * g.pixels_in(),
                        len: g.pixels_in(),
                        out,
                    });
                }
            });
    }

    /// Packs the gradient of some images as `[16 channels][step][tile]`.
    fn pack_grad(&self, grad: &[f32], out: &mut [u32]) {
        let g = self.g;
        out.par_chunks_mut(self.steps * WORDS)
            .enumerate()
            .for_each(|(at, out)| {
                let first = (at * TILE).min(g.group_out());
                let channels = TILE.min(g.group_out() - first);
                simd::run(Grads {
                    work: self,
                    grad,
                    first: self.group * g.group_out() + first,
                    channels,
                    out,
                });
            });
    }

    /// Computes the sums of the first images, or adds those of more.
    fn add(
        &self,
        ready: &mut Ready,
        task: &Sums,
        (left, right): (&[u16], &[u16]),
        sums: &mut [f32],
        first: bool,
    ) {
        let columns = task.targets.len().div_ceil(BLOCK);
        let channel = task.columns.start / self.g.taps();
        let tiles = self.some / TILE * self.g.taps();
        for (row, sums) in sums
            .chunks_mut(columns * BLOCK * BLOCK)
            .take(self.pairs())
            .enumerate()
        {
            let tiles = [2 * row, 2 * row + 1].map(|tile| {
                // The last one may be there only to make a pair.
                let tile = tile.min(tiles - 1);
                let (tap, part) = (tile % self.g.taps(), tile / self.g.taps());
                let (plane, far) = self.planes.taps()[tap];
                (plane * self.channels() + channel + part * TILE) * self.stride + far
            });
            // The left tiles of some steps stay in the first-level cache.
            for (part, steps) in self.parts.iter().enumerate() {
                for (column, sums) in sums.chunks_exact_mut(BLOCK * BLOCK).enumerate() {
                    let tile = task.targets.start / TILE + 2 * column;
                    ready.multiply(
                        steps,
                        Operand {
                            values: left,
                            tiles,
                            stride: self.stride,
                        },
                        Operand {
                            values: right,
                            tiles: [tile, tile + 1].map(|tile| 2 * tile * self.steps * WORDS),
                            stride: INNER,
                        },
                        sums.try_into().expect("a block of sums"),
                        !first || part > 0,
                    );
                }
            }
        }
    }

    /// Writes the sums as `[channel out][channel in][kernel element]`.
    fn place(&self, task: &mut Sums, sums: &[f32]) {
        simd::run(Place {
            taps: self.g.taps(),
            columns: task.targets.len().div_ceil(BLOCK),
            sums,
            out: &mut task.out,
        });
    }
}

/// Writes the sums of a task.
struct Place<'a, 'o> {
    taps: usize,
    /// Number of pairs of tiles of output channels.
    columns: usize,
    sums: &'a [f32],
    out: &'a mut [&'o mut [MaybeUninit<f32>]],
}

impl Kernel for Place<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let len = self.out.first().map_or(0, |out| out.len());
        for (lanes, outs) in self.out.chunks_mut(S::LANES).enumerate() {
            let target = lanes * S::LANES;
            let column = target / BLOCK * BLOCK * BLOCK + target % BLOCK;
            for first in (0..len).step_by(S::LANES) {
                let count = S::LANES.min(len - first);
                let mut square = [s.splat(0.0); 16];
                for (at, vector) in (first..first + count).zip(&mut square) {
                    let (channel, tap) = (at / self.taps, at % self.taps);
                    let tile = channel / TILE * self.taps + tap;
                    let row = tile % 2 * TILE + channel % TILE;
                    let block = tile / 2 * self.columns * BLOCK * BLOCK;
                    *vector = s.load(&self.sums[block + row * BLOCK + column..]);
                }
                s.transpose(&mut square);
                for (out, vector) in outs.iter_mut().zip(square) {
                    out.put(s, first, vector, count);
                }
            }
        }
    }
}

/// One channel of a plane of some images.
struct Halves<'a> {
    planes: &'a Planes,
    plane: usize,
    images: std::slice::ChunksExact<'a, f32>,
    /// The channel in an image.
    first: usize,
    len: usize,
    out: &'a mut [u16],
}

impl Loop for Halves<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let outs = self.out.chunks_exact_mut(self.planes.pixels());
        for (image, out) in self.images.zip(outs) {
            let values = &image[self.first..self.first + self.len];
            self.planes.rows(self.plane, |row| {
                let out = row.places(out);
                let values = &values[row.from..];
                if row.step == 1 {
                    for (out, &value) in out.iter_mut().zip(values) {
                        *out = half(value);
                    }
                } else {
                    for (out, &value) in out.iter_mut().zip(values.iter().step_by(row.step)) {
                        *out = half(value);
                    }
                }
            });
        }
    }
}

/// Up to 16 channels of the gradient of some images.
struct Grads<'a> {
    work: &'a Work<'a>,
    grad: &'a [f32],
    /// The first channel, and the number of them.
    first: usize,
    channels: usize,
    out: &'a mut [u32],
}

impl Kernel for Grads<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let g = self.work.g;
        let [height, width] = g.output;
        let pixels = self.work.planes.pixels();
        let pitch = self.work.planes.pitch();
        // The gradients of 16 channels at the pixels of a step.
        let mut values = [[0.0; INNER]; TILE];
        let mut read = [0; WORDS];
        for (step, tile) in self.out.chunks_exact_mut(WORDS).enumerate() {
            for row in &mut values {
                row.fill(0.0);
            }
            let mut at = step * INNER;
            let end = at + INNER;
            while at < end {
                let (image, place) = (at / pixels, at % pixels);
                let (row, column) = (place / pitch, place % pitch);
                if image * g.image_out() >= self.grad.len() {
                    break;
                }
                let lane = at - step * INNER;
                at += (pitch - column).min(end - at);
                if row >= height || column >= width {
                    continue;
                }
                let len = (width - column).min(INNER - lane);
                let from = image * g.image_out() + self.first * g.pixels_out();
                let from = from + row * width + column;
                for (i, values) in values.iter_mut().enumerate().take(self.channels) {
                    let from = &self.grad[from + i * g.pixels_out()..][..len];
                    s.copy(from, &mut values[lane..lane + len]);
                }
            }
            for (values, out) in values.iter().zip(read.chunks_exact_mut(TILE)) {
                pairs_in_row(values, out);
            }
            transpose(s, &read, tile);
        }
    }
}
