//! The forward convolution and the gradient of the input.
//!
//! The left operand is the weights, the right one the images: planes of pairs of channels, of which a tile
//! reads 16 pixels at the distance of a kernel element. So nothing is copied per kernel element.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::{Form, Scratch, Strip, WORDS, pair};
use super::plane::{Planes, Run};
use super::unit::{BLOCK, INNER, Operand, Steps, Sums, TILE, Unit};
use crate::conv::sampled::{Phase, Sampled};
use crate::lanes::{Loop, widest};
use crate::linear::product::Matrix;
use crate::simd::{self, Kernel, Simd};

/// Number of bytes of the planes of a task, unless one image has more.
const TASK: usize = 512 << 10;

/// Computes a convolution or the gradient of its input; writes all of `out`.
pub(crate) fn run(
    unit: Unit,
    sampled: &Sampled,
    source: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
) {
    let works: Vec<Work> = (0..sampled.groups)
        .flat_map(|group| sampled.phases.iter().map(move |phase| (group, phase)))
        .map(|(group, phase)| Work::new(unit, sampled, (group, phase), (weight, bias)))
        .collect();
    let largest = works.iter().map(Work::image_words).max().unwrap_or(0);
    let tasks = 2 * rayon::current_num_threads();
    let images = (TASK / 4 / largest.max(1)).clamp(1, sampled.batch.div_ceil(tasks));
    let [from, to] = [
        sampled.source_channels * sampled.source[0] * sampled.source[1],
        sampled.target_channels * sampled.target[0] * sampled.target[1],
    ]
    .map(|group| images * sampled.groups * group);
    out.par_chunks_mut(to)
        .zip(source.par_chunks(from))
        .for_each(|(out, source)| {
            for work in &works {
                work.images(source, out);
            }
        });
}

/// One phase of one group.
struct Work<'a> {
    unit: Unit,
    sampled: &'a Sampled,
    group: usize,
    phase: &'a Phase,
    planes: Planes,
    bias: Option<&'a [f32]>,
    /// The weights, `[16 target channels][kernel element][32 source channels][tile]`.
    weights: Scratch,
}

impl<'a> Work<'a> {
    fn new(
        unit: Unit,
        sampled: &'a Sampled,
        (group, phase): (usize, &'a Phase),
        (weight, bias): (&[f32], Option<&'a [f32]>),
    ) -> Self {
        let targets = sampled.target_channels;
        let mut work = Self {
            unit,
            sampled,
            group,
            phase,
            planes: Planes::new(phase, sampled.source),
            bias: bias.map(|bias| &bias[group * targets..(group + 1) * targets]),
            weights: Scratch::new(0),
        };
        let strip = work.strip();
        let len = targets.next_multiple_of(BLOCK) / TILE * strip;
        let mut weights = Scratch::new(len);
        if strip > 0 {
            let strips = weights.words()[..len].par_chunks_mut(strip).enumerate();
            strips.for_each(|(at, out)| {
                let first = (at * TILE).min(targets);
                simd::run(Weights {
                    work: &work,
                    weight,
                    targets: first..(first + TILE).min(targets),
                    out,
                });
            });
        }
        work.weights = weights;
        work
    }

    /// Number of blocks of 32 source channels.
    fn channel_blocks(&self) -> usize {
        self.sampled.source_channels.div_ceil(INNER)
    }

    /// Number of words of 16 target channels of the weights.
    fn strip(&self) -> usize {
        self.phase.taps.len() * self.channel_blocks() * WORDS
    }

    /// Number of words of the planes of an image.
    fn image_words(&self) -> usize {
        self.planes.count() * self.channel_blocks() * TILE * self.planes.pixels()
    }

    /// Computes some images.
    fn images(&self, source: &[f32], out: &mut [MaybeUninit<f32>]) {
        let sampled = self.sampled;
        let pixels_in = sampled.source[0] * sampled.source[1];
        let images = source.len() / (sampled.groups * sampled.source_channels * pixels_in);
        // An odd number of lines, so that the rows of a tile do not share the places of a cache.
        let stride = (images * self.planes.pixels()).next_multiple_of(TILE) | TILE;
        let channel_pairs = self.channel_blocks() * TILE;
        let len = self.planes.count() * channel_pairs * stride;
        let mut scratch = Scratch::new(len + self.planes.reach() + BLOCK);
        widest(Pairs {
            work: self,
            images,
            source,
            stride,
            out: &mut scratch.words()[..len],
        });
        let taps = self.planes.taps().iter();
        let steps = taps.flat_map(|&(plane, far)| {
            (0..self.channel_blocks()).map(move |block| {
                let rows = plane * channel_pairs + block * TILE;
                2 * (rows * stride + far)
            })
        });
        let weight_steps = (0..).map(|step| 2 * step * WORDS);
        widest(Products {
            work: self,
            steps: Steps::new(weight_steps.zip(steps).map(<[usize; 2]>::from)).parts(),
            runs: self.planes.runs(images),
            stride,
            planes: scratch.halves(),
            out,
        });
    }
}

/// Packs the weights of up to 16 target channels.
struct Weights<'a> {
    work: &'a Work<'a>,
    weight: &'a [f32],
    targets: Range<usize>,
    out: &'a mut [u32],
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Sampled {
            weight_strides: ref strides,
            source_channels: channels,
            ..
        } = *self.work.sampled;
        let first = self.work.group * strides.group + self.targets.start * strides.target;
        let weight = self.weight.get(first..).unwrap_or_default();
        if strides.target.min(strides.source) == 1 {
            // A single kernel element: a matrix.
            let stride = [strides.target, strides.source];
            Strip {
                matrix: Matrix::spaced(weight, [self.targets.len(), channels], stride),
                form: Form::Left,
                out: self.out,
            }
            .run(s);
            return;
        }
        let blocks = self.work.channel_blocks();
        for row in 0..self.targets.len() {
            let weight = &weight[row * strides.target..];
            for block in 0..blocks {
                let count = INNER.min(channels - block * INNER);
                let weight = &weight[block * INNER * strides.source..];
                let place = block * WORDS + row * TILE;
                self.elements(s, weight, count, strides.source, place);
            }
        }
    }
}

impl Weights<'_> {
    /// Packs the kernel elements of up to 32 source channels of one target channel.
    #[inline(always)]
    fn elements<S: Simd>(
        &mut self,
        s: S,
        weight: &[f32],
        count: usize,
        stride: usize,
        place: usize,
    ) {
        let taps = &self.work.phase.taps;
        let apart = self.work.channel_blocks() * WORDS;
        let kernel = taps.iter().map(|tap| tap.kernel + 1).max().unwrap_or(0);
        for column in (0..kernel).step_by(S::LANES) {
            for pairs in (0..TILE).step_by(S::LANES) {
                // The elements of the even channels, and those of the odd ones.
                let [even, odd] = [0, 1].map(|odd| {
                    let mut square = [s.splat(0.0); 16];
                    for (i, vector) in square.iter_mut().enumerate().take(S::LANES) {
                        let channel = 2 * (pairs + i) + odd;
                        if channel < count {
                            let from = &weight[channel * stride + column..];
                            *vector = if from.len() >= S::LANES {
                                s.load(from)
                            } else {
                                s.load_part(from)
                            };
                        }
                    }
                    s.transpose(&mut square);
                    square
                });
                for (at, tap) in taps.iter().enumerate() {
                    let Some(element) = tap.kernel.checked_sub(column) else {
                        continue;
                    };
                    if element < S::LANES {
                        let mut both = [[0.0; 16]; 2];
                        s.store(even[element], &mut both[0]);
                        s.store(odd[element], &mut both[1]);
                        let out = &mut self.out[at * apart + place + pairs..][..S::LANES];
                        for ((out, &even), &odd) in out.iter_mut().zip(&both[0]).zip(&both[1]) {
                            *out = pair(even, odd);
                        }
                    }
                }
            }
        }
    }
}

/// Packs the planes of some images: `[plane][pair of channels][pixel]`.
struct Pairs<'a> {
    work: &'a Work<'a>,
    images: usize,
    source: &'a [f32],
    stride: usize,
    out: &'a mut [u32],
}

impl Loop for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (sampled, planes) = (self.work.sampled, &self.work.planes);
        let pixels = sampled.source[0] * sampled.source[1];
        let channels = sampled.source_channels;
        let pairs = self.work.channel_blocks() * TILE;
        let rows = self.out.chunks_exact_mut(self.stride);
        for (at, out) in rows.enumerate() {
            let (plane, channel) = (at / pairs, at % pairs * 2);
            if channel >= channels {
                // The weights are zeros here, but zero times NaN is NaN.
                out.fill(0);
                continue;
            }
            for image in 0..self.images {
                let from = (image * sampled.groups + self.work.group) * channels + channel;
                let first = &self.source[from * pixels..(from + 1) * pixels];
                let second = if channel + 1 < channels {
                    &self.source[(from + 1) * pixels..(from + 2) * pixels]
                } else {
                    &[]
                };
                let out = &mut out[image * planes.pixels()..][..planes.pixels()];
                planes.rows(plane, |row| {
                    let out = row.places(out);
                    if row.len == 0 {
                        return;
                    }
                    let span = row.from..row.from + (row.len - 1) * row.step + 1;
                    let a = &first[span.clone()];
                    match (second.get(span), row.step) {
                        (Some(b), 1) => {
                            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                                *out = pair(a, b);
                            }
                        }
                        (Some(b), step) => {
                            let both = a.iter().zip(b).step_by(step);
                            for (out, (&a, &b)) in out.iter_mut().zip(both) {
                                *out = pair(a, b);
                            }
                        }
                        (None, step) => {
                            for (out, &a) in out.iter_mut().zip(a.iter().step_by(step)) {
                                *out = pair(a, 0.0);
                            }
                        }
                    }
                });
            }
        }
    }
}

/// The products of the weights and some images, and where they go.
struct Products<'a> {
    work: &'a Work<'a>,
    steps: Vec<Steps>,
    runs: Vec<Vec<Run>>,
    stride: usize,
    planes: &'a [u16],
    out: &'a mut [MaybeUninit<f32>],
}

impl Loop for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let work = self.work;
        let weights = work.weights.halves();
        let strip = 2 * work.strip();
        let ready = work.unit.ready();
        let used = self.runs.iter().filter(|runs| !runs.is_empty()).count();
        let mut scratch = Scratch::new(used * BLOCK * BLOCK);
        let sums = &mut scratch.floats()[..used * BLOCK * BLOCK];
        let (sums, _) = sums.as_chunks_mut::<{ BLOCK * BLOCK }>();
        let blocks = self.runs.iter().enumerate();
        let blocks = blocks.filter(|(_, runs)| !runs.is_empty());
        for first in (0..work.sampled.target_channels).step_by(BLOCK) {
            let tile = first / TILE * strip;
            let left = Operand {
                values: weights,
                tiles: [tile, tile + strip],
                stride: INNER,
            };
            if self.steps.is_empty() {
                sums.as_flattened_mut().fill(0.0);
            }
            // The weights of some steps stay in the first-level cache.
            for (part, steps) in self.steps.iter().enumerate() {
                for ((block, _), sums) in blocks.clone().zip(sums.iter_mut()) {
                    let right = Operand {
                        values: self.planes,
                        tiles: [2 * block * BLOCK, 2 * (block * BLOCK + TILE)],
                        stride: 2 * self.stride,
                    };
                    ready.multiply(steps, left, right, sums, part > 0);
                }
            }
            for ((_, runs), sums) in blocks.clone().zip(sums.iter()) {
                place(work, first, runs, sums, self.out);
            }
        }
    }
}

/// Writes the sums of the target channels from `first` on.
#[inline(always)]
fn place(work: &Work, first: usize, runs: &[Run], sums: &Sums, out: &mut [MaybeUninit<f32>]) {
    let sampled = work.sampled;
    let [height, width] = sampled.target;
    let count = BLOCK.min(sampled.target_channels - first);
    for run in runs {
        let channel = (run.image * sampled.groups + work.group) * sampled.target_channels + first;
        let row = work.phase.start[0] + run.place[0] * sampled.spacing[0];
        let column = work.phase.start[1] + run.place[1] * sampled.spacing[1];
        let at = (channel * height + row) * width + column;
        for (i, sums) in sums.chunks_exact(BLOCK).take(count).enumerate() {
            let sums = &sums[run.lane..run.lane + run.len];
            let bias = work.bias.map_or(0.0, |bias| bias[first + i]);
            let out = &mut out[at + i * height * width..];
            if sampled.spacing[1] == 1 {
                for (out, sum) in out[..run.len].iter_mut().zip(sums) {
                    out.write(sum + bias);
                }
            } else {
                for (out, sum) in out.iter_mut().step_by(sampled.spacing[1]).zip(sums) {
                    out.write(sum + bias);
                }
            }
        }
    }
}
