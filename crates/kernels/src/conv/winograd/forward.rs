//! The forward convolution and the gradient of the input.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::frames::{self, Frame, Grid};
use super::sums::{Rows, Steps, sums};
use super::transforms::{At, Input, Output, Weight, tile};
use super::{Tile, Winograd, pairs};
use crate::conv::product::{Block, Step, index};
use crate::conv::transpose::{Target, Transpose};
use crate::memory::written;
use crate::simd::{Kernel, Level, Simd};

/// Size of the second-level cache that the transformed inputs of a block and its sums fill, in
/// values.
const CACHE: usize = (512 << 10) / 4;

/// Number of values of a cache line.
const LINE: usize = 16;

/// Number of source channels whose weights are transformed together.
const CHANNELS: usize = 16;

impl Winograd {
    /// Computes the convolution; writes all of `out`, `[batch, targets, height, width]`.
    pub(crate) fn run(
        &self,
        tile: Tile,
        level: Level,
        source: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [MaybeUninit<f32>],
    ) {
        match tile {
            Tile::Two => Work::<4>::new(self, level, source, weight, bias).run(out),
            Tile::Four => Work::<6>::new(self, level, source, weight, bias).run(out),
        }
    }
}

/// The operands of all tasks; the input tiles have `A × A` values.
struct Work<'a, const A: usize> {
    shape: &'a Winograd,
    level: Level,
    source: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    grid: Grid,
    /// Blocks of target channels.
    channels: Vec<Block>,
    /// The steps of a sum over the source channels, by the number of vectors of the target
    /// channels.
    steps: [Steps; 2],
    /// Whether a task computes a block of channels of all images, with weights of its own, and not
    /// all channels of a block of tiles.
    by_channels: bool,
}

/// A block of tiles, and its parts of the output for a block of channels: one for each image and
/// channel.
struct Part<'o> {
    block: frames::Block,
    targets: Vec<&'o mut [MaybeUninit<f32>]>,
}

/// Memory that a thread reuses for its next task.
#[derive(Default)]
struct Scratch {
    source: Frame,
    target: Frame,
    /// Transformed inputs, `[tile][element][source channel]`.
    inputs: Vec<f32>,
    /// Transformed weights of a block of channels, `[element][source channel][lane]`.
    weights: Vec<f32>,
    /// Sums, `[tile][element][lane]`.
    sums: Vec<f32>,
}

impl<'a, const A: usize> Work<'a, A> {
    fn new(
        shape: &'a Winograd,
        level: Level,
        source: &'a [f32],
        weight: &'a [f32],
        bias: Option<&'a [f32]>,
    ) -> Self {
        let lanes = level.lanes();
        let threads = rayon::current_num_threads();
        let channels = pairs(shape.targets, lanes);
        let tiles = Grid::new(shape.batch, A - 2, shape.target, 1).all_tiles();
        let per_tile = A * A * (shape.sources.next_multiple_of(lanes) + 2 * lanes);
        let count = (CACHE / per_tile)
            .clamp(16, 64)
            .min(tiles.div_ceil(threads));
        let steps = [1, 2].map(|vectors| {
            Steps::new((0..shape.sources).map(|channel| Step {
                spread: index(channel),
                vector: index(channel * vectors * lanes),
            }))
        });
        Self {
            shape,
            level,
            source,
            weight,
            bias,
            grid: Grid::new(shape.batch, A - 2, shape.target, count),
            by_channels: shape.targets > tiles && channels.len() >= threads,
            channels,
            steps,
        }
    }

    fn run(&self, out: &mut [MaybeUninit<f32>]) {
        if self.by_channels {
            self.channels_apart(out);
        } else {
            self.tiles_apart(out);
        }
    }

    /// Distance between the elements of a transformed input tile.
    fn element(&self) -> usize {
        self.shape.sources.next_multiple_of(self.level.lanes())
    }

    /// Distance between transformed input tiles. A cache line more than a tile takes: multiples of
    /// a large power of two would make tiles compete for the same lines of a cache.
    fn tile(&self) -> usize {
        A * A * self.element() + LINE
    }

    /// Distance between the elements of the transformed weights of a block of channels, a vector
    /// more than they take for the same reason.
    fn panel(&self, channels: Block) -> usize {
        (self.shape.sources * channels.vectors + 1) * self.level.lanes()
    }

    /// Divides the output by blocks of tiles and blocks of channels.
    fn parts<'o>(&self, out: &'o mut [MaybeUninit<f32>]) -> Vec<Vec<Part<'o>>> {
        let [height, width] = self.shape.target;
        let mut images = out.chunks_exact_mut(self.shape.targets * height * width);
        let mut all: Vec<Vec<Part>> = Vec::new();
        for block in self.grid.blocks() {
            let part = || Part {
                block,
                targets: Vec::new(),
            };
            all.push(self.channels.iter().map(|_| part()).collect());
            if block.first_row + block.rows < self.grid.tiles()[0] {
                continue;
            }
            // The last rows: the images of this block and the blocks with their other rows.
            let rows = all
                .iter()
                .rev()
                .position(|parts| parts[0].block.first_row == 0);
            let first = all.len() - 1 - rows.unwrap_or(0);
            let rows = all[first][0].block.rows * self.grid.side * width;
            for image in images.by_ref().take(block.images) {
                let mut planes = image.chunks_exact_mut(height * width);
                for (index, channels) in self.channels.iter().enumerate() {
                    for plane in planes.by_ref().take(channels.len) {
                        for (parts, rows) in all[first..].iter_mut().zip(plane.chunks_mut(rows)) {
                            parts[index].targets.push(rows);
                        }
                    }
                }
            }
        }
        all
    }

    /// Computes with a block of tiles per task.
    fn tiles_apart(&self, out: &mut [MaybeUninit<f32>]) {
        let weights: Vec<Vec<f32>> = self
            .channels
            .par_iter()
            .map(|&channels| {
                let fill = |out: &mut [MaybeUninit<f32>]| self.weights(channels, out);
                // SAFETY: `weights` writes everything.
                #[allow(unsafe_code, reason = "weights are written once, not zeroed first")]
                unsafe {
                    written(A * A * self.panel(channels), fill)
                }
            })
            .collect();
        self.parts(out)
            .into_par_iter()
            .for_each_init(Scratch::default, |scratch, mut parts| {
                let block = parts[0].block;
                scratch
                    .inputs
                    .resize(self.grid.count(block) * self.tile(), 0.0);
                self.inputs(block, &mut scratch.source, &mut scratch.inputs[..]);
                let channels = self.channels.iter().zip(&weights).zip(&mut parts);
                for ((&channels, weights), part) in channels {
                    self.level.run(Outputs {
                        work: self,
                        channels,
                        inputs: &scratch.inputs,
                        weights,
                        frame: &mut scratch.target,
                        sums: &mut scratch.sums,
                        parts: std::slice::from_mut(part),
                    });
                }
            });
    }

    /// Computes with a block of channels per task.
    fn channels_apart(&self, out: &mut [MaybeUninit<f32>]) {
        let blocks = self.grid.blocks();
        let transform = |mut out: &mut [MaybeUninit<f32>]| {
            let mut tasks = Vec::with_capacity(blocks.len());
            for &block in &blocks {
                let (inputs, rest) = out.split_at_mut(self.grid.count(block) * self.tile());
                tasks.push((block, inputs));
                out = rest;
            }
            tasks
                .into_par_iter()
                .for_each_init(Frame::default, |frame, (block, inputs)| {
                    self.inputs(block, frame, inputs);
                });
        };
        // SAFETY: `inputs` writes everything, and the blocks have all tiles.
        #[allow(unsafe_code, reason = "inputs are written once, not zeroed first")]
        let inputs = unsafe { written(self.grid.all_tiles() * self.tile(), transform) };
        let mut tasks: Vec<Vec<Part>> = self.channels.iter().map(|_| Vec::new()).collect();
        for parts in self.parts(out) {
            for (task, part) in tasks.iter_mut().zip(parts) {
                task.push(part);
            }
        }
        let lanes = self.level.lanes();
        let some = 4 * CACHE / (A * A * 2 * lanes * self.grid.block_tiles());
        self.channels.par_iter().zip(tasks).for_each_init(
            Scratch::default,
            |scratch, (&channels, mut parts)| {
                scratch.weights.resize(A * A * self.panel(channels), 0.0);
                self.weights(channels, &mut scratch.weights[..]);
                let mut inputs = &inputs[..];
                for parts in parts.chunks_mut(some.max(1)) {
                    let count: usize = parts.iter().map(|part| self.grid.count(part.block)).sum();
                    let (these, rest) = inputs.split_at(count * self.tile());
                    inputs = rest;
                    self.level.run(Outputs {
                        work: self,
                        channels,
                        inputs: these,
                        weights: &scratch.weights,
                        frame: &mut scratch.target,
                        sums: &mut scratch.sums,
                        parts,
                    });
                }
            },
        );
    }

    /// Transforms the inputs of a block; writes all of `out`.
    fn inputs<T: Target + ?Sized>(&self, block: frames::Block, frame: &mut Frame, out: &mut T) {
        self.level.run(Inputs {
            work: self,
            block,
            frame,
            out,
        });
    }

    /// Transforms the weights of a block of channels; writes all of `out`.
    fn weights<T: Target + ?Sized>(&self, channels: Block, out: &mut T) {
        self.level.run(Weights {
            work: self,
            channels,
            out,
        });
    }
}

/// [`Work::inputs`].
struct Inputs<'a, T: ?Sized, const A: usize> {
    work: &'a Work<'a, A>,
    block: frames::Block,
    frame: &'a mut Frame,
    out: &'a mut T,
}

impl<T: Target + ?Sized, const A: usize> Kernel for Inputs<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { work, block, .. } = self;
        let (shape, grid) = (work.shape, &work.grid);
        let pixels = shape.source[0] * shape.source[1];
        let of_image = block.rows * grid.tiles()[1];
        self.frame
            .reset(grid, block, 2, (shape.source, shape.padding), S::LANES);
        for image in 0..block.images {
            for first in (0..shape.sources).step_by(S::LANES) {
                let channels = S::LANES.min(shape.sources - first);
                let at = ((block.first_image + image) * shape.sources + first) * pixels;
                self.frame.read(s, &work.source[at..], channels, pixels);
                let to = At {
                    first: image * of_image * work.tile() + first,
                    row: A * work.element(),
                    column: work.element(),
                };
                self.frame
                    .transform::<S, Input, A>(s, grid, block, self.out, to, work.tile());
            }
        }
        for tile in 1..=grid.count(block) {
            for at in (0..LINE).step_by(S::LANES) {
                let at = tile * work.tile() - LINE + at;
                self.out.put(s, at, s.splat(0.0), S::LANES);
            }
        }
    }
}

/// [`Work::weights`].
struct Weights<'a, T: ?Sized, const A: usize> {
    work: &'a Work<'a, A>,
    channels: Block,
    out: &'a mut T,
}

impl<T: Target + ?Sized, const A: usize> Kernel for Weights<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (shape, block) = (self.work.shape, self.channels);
        let width = block.vectors * S::LANES;
        let mut taps = vec![0.0; CHANNELS * 9 * S::LANES];
        for vector in 0..block.vectors {
            let first = block.start + vector * S::LANES;
            let lanes = S::LANES.min(shape.targets - first);
            for start in (0..shape.sources).step_by(CHANNELS) {
                let count = CHANNELS.min(shape.sources - start);
                // As many source channels as are next to each other in memory.
                let joined = if shape.source_stride == 9 { count } else { 1 };
                for channel in (0..count).step_by(joined) {
                    let from =
                        first * shape.target_stride + (start + channel) * shape.source_stride;
                    Transpose {
                        source: &self.work.weight[from..],
                        rows: lanes,
                        columns: 9 * joined,
                        stride: shape.target_stride,
                        out: &mut taps[channel * 9 * S::LANES..],
                        out_stride: S::LANES,
                        ahead: if joined == 1 {
                            shape.source_stride
                        } else {
                            128
                        },
                    }
                    .run(s);
                }
                for (channel, taps) in taps.chunks_exact_mut(9 * S::LANES).enumerate().take(count) {
                    if shape.flipped {
                        for tap in 0..4 {
                            let (low, high) = taps.split_at_mut((8 - tap) * S::LANES);
                            low[tap * S::LANES..][..S::LANES]
                                .swap_with_slice(&mut high[..S::LANES]);
                        }
                    }
                    let from = At {
                        first: 0,
                        row: 3 * S::LANES,
                        column: S::LANES,
                    };
                    let element = self.work.panel(block);
                    let to = At {
                        first: (start + channel) * width + vector * S::LANES,
                        row: A * element,
                        column: element,
                    };
                    tile::<S, Weight, A>(s, (taps, from), (&mut *self.out, to));
                }
            }
        }
        for element in 1..=A * A {
            let at = element * self.work.panel(block) - S::LANES;
            self.out.put(s, at, s.splat(0.0), S::LANES);
        }
    }
}

/// The outputs of some blocks of tiles for a block of channels.
struct Outputs<'a, 'o, const A: usize> {
    work: &'a Work<'a, A>,
    channels: Block,
    inputs: &'a [f32],
    weights: &'a [f32],
    frame: &'a mut Frame,
    sums: &'a mut Vec<f32>,
    parts: &'a mut [Part<'o>],
}

impl<const A: usize> Kernel for Outputs<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { work, channels, .. } = self;
        let grid = &work.grid;
        let count: usize = self.parts.iter().map(|part| grid.count(part.block)).sum();
        let width = channels.vectors * S::LANES;
        self.sums.resize(count * A * A * width, 0.0);
        let steps = &work.steps[channels.vectors - 1];
        let panel = work.panel(channels);
        for element in 0..A * A {
            sums(
                s,
                (count, channels.vectors),
                Rows {
                    values: &self.inputs[element * work.element()..],
                    stride: work.tile(),
                },
                Rows {
                    values: &self.weights[element * panel..(element + 1) * panel],
                    stride: S::LANES,
                },
                steps.range(0..steps.len()),
                Rows {
                    values: &mut self.sums[element * width..],
                    stride: A * A * width,
                },
                false,
            );
        }
        let mut first = 0;
        for Part { block, targets } in self.parts {
            let size = (work.shape.target, [0, 0]);
            self.frame.reset(grid, *block, 0, size, S::LANES);
            let of_image = block.rows * grid.tiles()[1];
            for targets in targets.chunks_exact_mut(channels.len) {
                for vector in 0..channels.vectors {
                    let start = vector * S::LANES;
                    for tile in 0..of_image {
                        let from = At {
                            first: (first + tile) * A * A * width + start,
                            row: A * width,
                            column: width,
                        };
                        self.frame
                            .put::<S, Output, A>(s, grid, tile, (self.sums, from));
                    }
                    let lanes = start..(start + S::LANES).min(channels.len);
                    let bias = work.bias.map_or(s.splat(0.0), |bias| {
                        s.load_part(&bias[channels.start..][lanes.clone()])
                    });
                    self.frame.write(s, bias, &mut targets[lanes]);
                }
                first += of_image;
            }
        }
    }
}
