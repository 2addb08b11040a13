//! The forward convolution and the gradient of the input.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::frames::{self, Frame, Grid};
use super::sums::{Rows, Steps, sums};
use super::transforms::{At, Input, Output, Weight, tile};
use super::{Tile, Winograd, pairs};
use crate::conv::product::{Block, Step, index};
use crate::conv::transpose::Transpose;
use crate::simd::{Kernel, Level, Simd};

/// Size of the second-level cache that the transformed inputs of a block and its sums fill, in
/// values.
const CACHE: usize = (512 << 10) / 4;

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

/// Parts of the output, one for each image, channel and block of tiles.
type Targets<'o> = Vec<&'o mut [MaybeUninit<f32>]>;

/// Memory that a thread reuses for its next task.
struct Scratch {
    frame: Frame,
    /// Transformed inputs, `[group of channels][tile][element][lane]`.
    inputs: Vec<f32>,
    /// Transformed weights of a block of channels, `[element][source channel][lane]`.
    weights: Vec<f32>,
    /// Sums, `[tile][element][lane]`.
    sums: Vec<f32>,
}

impl Scratch {
    fn new() -> Self {
        Self {
            frame: Frame::new(),
            inputs: Vec::new(),
            weights: Vec::new(),
            sums: Vec::new(),
        }
    }
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
        let by_channels = shape.targets > tiles && channels.len() >= threads;
        let per_tile = A * A * (shape.sources.next_multiple_of(lanes) + 2 * lanes);
        let count = if by_channels {
            4 * CACHE / (A * A * 2 * lanes)
        } else {
            (CACHE / per_tile).clamp(16, 64).min(tiles.div_ceil(threads))
        };
        let grid = Grid::new(shape.batch, A - 2, shape.target, count);
        let group = grid.block_tiles() * A * A * lanes;
        let steps = [1, 2].map(|vectors| {
            Steps::new((0..shape.sources).map(|channel| Step {
                spread: index(channel / lanes * group + channel % lanes),
                vector: index(channel * vectors * lanes),
            }))
        });
        Self {
            shape,
            level,
            source,
            weight,
            bias,
            grid,
            channels,
            steps,
            by_channels,
        }
    }

    fn run(&self, out: &mut [MaybeUninit<f32>]) {
        if self.by_channels {
            self.channels_apart(out);
        } else {
            self.tiles_apart(out);
        }
    }

    /// Number of values of the transformed inputs of a group of channels of a block.
    fn group(&self) -> usize {
        self.grid.block_tiles() * A * A * self.level.lanes()
    }

    /// Number of values of the transformed weights of a block of channels.
    fn weights_len(&self, channels: Block) -> usize {
        A * A * self.shape.sources * channels.vectors * self.level.lanes()
    }

    /// Divides the output: for each block of tiles and each block of channels, its parts.
    fn targets<'o>(&self, out: &'o mut [MaybeUninit<f32>]) -> Vec<Vec<Targets<'o>>> {
        let [height, width] = self.shape.target;
        let mut images = out.chunks_exact_mut(self.shape.targets * height * width);
        let mut all: Vec<Vec<Targets>> = Vec::new();
        let mut parts: Vec<Vec<Targets>> = Vec::new();
        for block in self.grid.blocks() {
            if block.first_row == 0 {
                all.append(&mut parts);
                let count = self.grid.tiles()[0].div_ceil(block.rows);
                parts.resize_with(count, || {
                    self.channels.iter().map(|_| Targets::new()).collect()
                });
                for image in images.by_ref().take(block.images) {
                    let mut planes = image.chunks_exact_mut(height * width);
                    for (index, channels) in self.channels.iter().enumerate() {
                        for plane in planes.by_ref().take(channels.len) {
                            let rows = block.rows * self.grid.side * width;
                            for (part, rows) in parts.iter_mut().zip(plane.chunks_mut(rows)) {
                                part[index].push(rows);
                            }
                        }
                    }
                }
            }
        }
        all.append(&mut parts);
        all
    }

    /// Computes with a block of tiles per task.
    fn tiles_apart(&self, out: &mut [MaybeUninit<f32>]) {
        let weights: Vec<Vec<f32>> = self
            .channels
            .par_iter()
            .map(|&channels| {
                let mut weights = vec![0.0; self.weights_len(channels)];
                self.weights(channels, &mut weights);
                weights
            })
            .collect();
        self.grid
            .blocks()
            .into_par_iter()
            .zip(self.targets(out))
            .for_each_init(Scratch::new, |scratch, (block, mut targets)| {
                let groups = self.shape.sources.div_ceil(self.level.lanes());
                scratch.inputs.resize(groups * self.group(), 0.0);
                for (group, inputs) in scratch.inputs.chunks_exact_mut(self.group()).enumerate() {
                    self.inputs(block, group, &mut scratch.frame, inputs);
                }
                let channels = self.channels.iter().zip(&weights).zip(&mut targets);
                for ((&channels, weights), targets) in channels {
                    self.level.run(Outputs {
                        work: self,
                        block,
                        channels,
                        inputs: &scratch.inputs,
                        weights,
                        frame: &mut scratch.frame,
                        sums: &mut scratch.sums,
                        targets,
                    });
                }
            });
    }

    /// Computes with a block of channels per task.
    fn channels_apart(&self, out: &mut [MaybeUninit<f32>]) {
        let groups = self.shape.sources.div_ceil(self.level.lanes());
        let blocks = self.grid.blocks();
        let mut inputs = vec![0.0; blocks.len() * groups * self.group()];
        inputs
            .par_chunks_exact_mut(self.group())
            .enumerate()
            .for_each_init(Frame::new, |frame, (index, inputs)| {
                self.inputs(blocks[index / groups], index % groups, frame, inputs);
            });
        let mut tasks: Vec<Vec<Targets>> = self.channels.iter().map(|_| Vec::new()).collect();
        for targets in self.targets(out) {
            for (task, targets) in tasks.iter_mut().zip(targets) {
                task.push(targets);
            }
        }
        self.channels.par_iter().zip(tasks).for_each_init(
            Scratch::new,
            |scratch, (&channels, mut targets)| {
                scratch.weights.resize(self.weights_len(channels), 0.0);
                self.weights(channels, &mut scratch.weights);
                let inputs = inputs.chunks_exact(groups * self.group());
                for ((&block, inputs), targets) in blocks.iter().zip(inputs).zip(&mut targets) {
                    self.level.run(Outputs {
                        work: self,
                        block,
                        channels,
                        inputs,
                        weights: &scratch.weights,
                        frame: &mut scratch.frame,
                        sums: &mut scratch.sums,
                        targets,
                    });
                }
            },
        );
    }

    /// Transforms the inputs of a block for one group of channels.
    fn inputs(&self, block: frames::Block, group: usize, frame: &mut Frame, out: &mut [f32]) {
        self.level.run(Inputs {
            work: self,
            block,
            group,
            frame,
            out,
        });
    }

    /// Transforms the weights of a block of channels.
    fn weights(&self, channels: Block, out: &mut [f32]) {
        self.level.run(Weights {
            work: self,
            channels,
            out,
        });
    }
}

/// [`Work::inputs`].
struct Inputs<'a, const A: usize> {
    work: &'a Work<'a, A>,
    block: frames::Block,
    group: usize,
    frame: &'a mut Frame,
    out: &'a mut [f32],
}

impl<const A: usize> Kernel for Inputs<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { work, block, .. } = self;
        let (shape, grid) = (work.shape, &work.grid);
        let first = self.group * S::LANES;
        let channels = S::LANES.min(shape.sources - first);
        let pixels = shape.source[0] * shape.source[1];
        let len = block.rows * grid.tiles()[1] * A * A * S::LANES;
        self.frame.reset(grid, block, 2, shape.padding, S::LANES);
        for (image, out) in self.out.chunks_mut(len).enumerate().take(block.images) {
            let at = ((block.first_image + image) * shape.sources + first) * pixels;
            self.frame
                .read(s, &work.source[at..], channels, shape.source);
            self.frame.transform::<S, Input, A>(s, grid, block, out);
        }
    }
}

/// [`Work::weights`].
struct Weights<'a, const A: usize> {
    work: &'a Work<'a, A>,
    channels: Block,
    out: &'a mut [f32],
}

impl<const A: usize> Kernel for Weights<'_, A> {
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
                        ahead: if joined == 1 { shape.source_stride } else { 128 },
                    }
                    .run(s);
                }
                for (channel, taps) in taps.chunks_exact_mut(9 * S::LANES).enumerate().take(count)
                {
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
                    let element = shape.sources * width;
                    let to = At {
                        first: (start + channel) * width + vector * S::LANES,
                        row: A * element,
                        column: element,
                    };
                    tile::<S, Weight, A>(s, (taps, from), (self.out, to));
                }
            }
        }
    }
}

/// The outputs of a block of tiles for a block of channels.
struct Outputs<'a, 'o, const A: usize> {
    work: &'a Work<'a, A>,
    block: frames::Block,
    channels: Block,
    inputs: &'a [f32],
    weights: &'a [f32],
    frame: &'a mut Frame,
    sums: &'a mut Vec<f32>,
    targets: &'a mut Targets<'o>,
}

impl<const A: usize> Kernel for Outputs<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            work,
            block,
            channels,
            ..
        } = self;
        let grid = &work.grid;
        let count = grid.count(block);
        let width = channels.vectors * S::LANES;
        self.sums.resize(grid.block_tiles() * A * A * width, 0.0);
        let steps = &work.steps[channels.vectors - 1];
        let panel = work.shape.sources * width;
        for element in 0..A * A {
            sums(
                s,
                (count, channels.vectors),
                Rows {
                    values: &self.inputs[element * S::LANES..],
                    stride: A * A * S::LANES,
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
        self.frame.reset(grid, block, 0, [0, 0], S::LANES);
        let of_image = block.rows * grid.tiles()[1];
        let images = self.targets.chunks_exact_mut(channels.len);
        for (image, targets) in images.enumerate() {
            for vector in 0..channels.vectors {
                for tile in 0..of_image {
                    let from = At {
                        first: (image * of_image + tile) * A * A * width + vector * S::LANES,
                        row: A * width,
                        column: width,
                    };
                    self.frame
                        .put::<S, Output, A>(s, grid, tile, (self.sums, from));
                }
                let first = vector * S::LANES;
                let lanes = first..(first + S::LANES).min(channels.len);
                let bias = work.bias.map_or(s.splat(0.0), |bias| {
                    s.load_part(&bias[channels.start..][lanes.clone()])
                });
                let rows = grid.pixel_rows(block);
                let width = work.shape.target[1];
                self.frame.write(s, rows, width, bias, &mut targets[lanes]);
            }
        }
    }
}
