//! The gradient of the weight.
//!
//! It is `Gᵀ[Σ (A dy Aᵀ) ⊙ (Bᵀ x B)]G`, a sum over all tiles of the batch, in which `dy` is the
//! gradient of a tile's outputs: the transpose of the forward convolution as a function of the
//! weight. Tiles are the steps of the products. Tasks divide channels, so that the order of every
//! sum is independent of the number of threads.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::frames::{self, Frame, Grid};
use super::sums::{Rows, Steps, sums};
use super::transforms::{At, Input, OutputGrad, WeightGrad, tile};
use super::{Tile, pairs};
use crate::conv::geometry::Geometry;
use crate::conv::product::{Block, Step, index};
use crate::conv::transpose::{Target, Transpose};
use crate::memory::written;
use crate::simd::{Kernel, Level, Simd};

/// Number of tiles that are transformed together.
const TILES: usize = 32;

/// Number of values of transformed tiles that a third-level cache holds.
const CACHE: usize = (4 << 20) / 4;

/// Maximum number of vectors of input channels of a task.
const GROUPS: usize = 4;

/// Computes the gradient of the weight; writes all of `out`, `[channels out, channels in, 3, 3]`.
pub(crate) fn weight_grad(
    tile: Tile,
    level: Level,
    g: &Geometry,
    input: &[f32],
    grad: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    match tile {
        Tile::Two => Work::<4>::new(level, g, input, grad).run(out),
        Tile::Four => Work::<6>::new(level, g, input, grad).run(out),
    }
}

/// The operands of all tasks; the input tiles have `A × A` values.
struct Work<'a, const A: usize> {
    level: Level,
    g: &'a Geometry,
    input: &'a [f32],
    grad: &'a [f32],
    grid: Grid,
}

/// Transformed tiles of some blocks: `[block][group of channels][element][tile][lane]`.
struct Tiles {
    inputs: Vec<f32>,
    grads: Vec<f32>,
    steps: Steps,
}

/// The sums of some input channels and a block of output channels.
struct Task {
    /// Groups of input channels, a vector each.
    groups: Range<usize>,
    filters: Block,
    /// `[element][input channel][lane]`.
    sums: Vec<f32>,
    /// The gradient, `[input channel][kernel element][lane]`.
    result: Vec<f32>,
}

impl<'a, const A: usize> Work<'a, A> {
    fn new(level: Level, g: &'a Geometry, input: &'a [f32], grad: &'a [f32]) -> Self {
        Self {
            level,
            g,
            input,
            grad,
            grid: Grid::new(g.batch, A - 2, g.output, TILES),
        }
    }

    /// Distance between the elements of the transformed tiles of a block for one group of channels.
    /// A vector more than they take: multiples of a large power of two would make all elements of a
    /// tile compete for the same lines of a cache.
    fn element(&self) -> usize {
        (self.grid.block_tiles() + 1) * self.level.lanes()
    }

    /// Number of values of the transformed tiles of a block for one group of channels.
    fn group(&self) -> usize {
        A * A * self.element()
    }

    /// Number of groups of input channels and of output channels.
    fn groups(&self) -> [usize; 2] {
        [self.g.channels_in, self.g.channels_out].map(|count| count.div_ceil(self.level.lanes()))
    }

    fn tasks(&self) -> Vec<Task> {
        let filters = pairs(self.g.channels_out, self.level.lanes());
        let wanted = (4 * rayon::current_num_threads()).div_ceil(filters.len());
        let groups = self.groups()[0];
        let some = (groups / wanted).clamp(1, GROUPS);
        let starts = (0..groups).step_by(some);
        starts
            .flat_map(|start| {
                filters.iter().map(move |&filters| Task {
                    groups: start..groups.min(start + some),
                    filters,
                    sums: Vec::new(),
                    result: Vec::new(),
                })
            })
            .collect()
    }

    /// Number of input channels of a task.
    fn channels(&self, task: &Task) -> usize {
        let lanes = self.level.lanes();
        self.g.channels_in.min(task.groups.end * lanes) - task.groups.start * lanes
    }

    /// Distance between the elements of the sums of a task. One vector more than the sums take: an
    /// even power of two would make all elements of a tile compete for the same lines of a cache.
    fn panel(&self, task: &Task) -> usize {
        (self.channels(task) * task.filters.vectors + 1) * self.level.lanes()
    }

    fn run(&self, out: &mut [MaybeUninit<f32>]) {
        let blocks = self.grid.blocks();
        let of_block = self.groups().iter().sum::<usize>() * self.group();
        // More blocks than the cache holds if all sums take more memory still, which would be read
        // and written again for every part.
        let room = CACHE.max(A * A * self.g.channels_in * self.g.channels_out);
        let parts = blocks.len().div_ceil((room / of_block).max(1));
        let part = blocks.len().div_ceil(parts);
        let mut tasks = self.tasks();
        for (index, blocks) in blocks.chunks(part).enumerate() {
            let tiles = self.transform(blocks);
            let (first, last) = (index == 0, index + 1 == parts);
            tasks
                .par_iter_mut()
                .for_each_init(Vec::new, |scratch, task| {
                    if parts == 1 {
                        // Nobody else needs these sums: the memory of the task before is used.
                        std::mem::swap(&mut task.sums, scratch);
                    }
                    self.level.run(Sums {
                        work: self,
                        tiles: &tiles,
                        task,
                        first,
                    });
                    if last {
                        self.finish(task);
                        *scratch = std::mem::take(&mut task.sums);
                    }
                });
        }
        self.place(&tasks, out);
    }

    /// Transforms the inputs and gradients of some blocks.
    fn transform(&self, blocks: &[frames::Block]) -> Tiles {
        let [inputs, grads] = self.groups();
        let one = |grads: bool, count: usize| {
            let fill = |values: &mut [MaybeUninit<f32>]| {
                values
                    .par_chunks_exact_mut(self.group())
                    .enumerate()
                    .for_each_init(Frame::default, |frame, (index, out)| {
                        self.level.run(Transformed {
                            work: self,
                            block: blocks[index / count],
                            group: index % count,
                            grads,
                            frame,
                            out,
                        });
                    });
            };
            // SAFETY: `Transformed` writes everything.
            #[allow(unsafe_code, reason = "tiles are written once, not zeroed first")]
            unsafe {
                written(blocks.len() * count * self.group(), fill)
            }
        };
        let lanes = self.level.lanes();
        let places = blocks.iter().enumerate().flat_map(|(place, &block)| {
            (0..self.grid.count(block)).map(move |tile| (place, tile * lanes))
        });
        Tiles {
            inputs: one(false, inputs),
            grads: one(true, grads),
            steps: Steps::new(places.map(|(place, tile)| Step {
                spread: index(place * inputs * self.group() + tile),
                vector: index(place * grads * self.group() + tile),
            })),
        }
    }

    /// Transforms the sums of a task to its result.
    fn finish(&self, task: &mut Task) {
        let len = self.channels(task) * 9 * task.filters.vectors * self.level.lanes();
        let finish = |out: &mut [MaybeUninit<f32>]| {
            self.level.run(Finish {
                work: self,
                task,
                out,
            });
        };
        // SAFETY: `Finish` writes the kernels of all channels.
        #[allow(unsafe_code, reason = "results are written once, not zeroed first")]
        let result = unsafe { written(len, finish) };
        task.result = result;
    }

    /// Writes the results as `[output channel][input channel][kernel element]`.
    fn place(&self, tasks: &[Task], out: &mut [MaybeUninit<f32>]) {
        let (g, lanes) = (self.g, self.level.lanes());
        let row = g.channels_in * 9;
        out.par_chunks_mut(2 * lanes * row)
            .enumerate()
            .for_each(|(block, out)| {
                let tasks = tasks
                    .iter()
                    .filter(|task| task.filters.start == block * 2 * lanes);
                for task in tasks {
                    self.level.run(Transpose {
                        source: &task.result,
                        rows: self.channels(task) * 9,
                        columns: task.filters.len,
                        stride: task.filters.vectors * lanes,
                        out: &mut out[task.groups.start * lanes * 9..],
                        out_stride: row,
                        ahead: 0,
                    });
                }
            });
    }
}

/// Transforms the tiles of a block for one group of channels.
struct Transformed<'a, const A: usize> {
    work: &'a Work<'a, A>,
    block: frames::Block,
    group: usize,
    /// Whether of the gradient and not of the input.
    grads: bool,
    frame: &'a mut Frame,
    /// All of it is written, also the places of tiles that a block does not have.
    out: &'a mut [MaybeUninit<f32>],
}

impl<const A: usize> Kernel for Transformed<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { work, block, .. } = self;
        let (g, grid) = (work.g, &work.grid);
        let (values, all, pixels) = if self.grads {
            self.frame
                .reset(grid, block, 0, (g.output, [0, 0]), S::LANES);
            (work.grad, g.channels_out, g.pixels_out())
        } else {
            self.frame
                .reset(grid, block, 2, (g.input, g.padding), S::LANES);
            (work.input, g.channels_in, g.pixels_in())
        };
        let first = self.group * S::LANES;
        let channels = S::LANES.min(all - first);
        let of_image = block.rows * grid.tiles()[1];
        for image in 0..block.images {
            let at = ((block.first_image + image) * all + first) * pixels;
            self.frame.read(s, &values[at..], channels, pixels);
            let to = At {
                first: image * of_image * S::LANES,
                row: A * work.element(),
                column: work.element(),
            };
            if self.grads {
                self.frame
                    .transform::<S, OutputGrad, A>(s, grid, block, self.out, to, S::LANES);
            } else {
                self.frame
                    .transform::<S, Input, A>(s, grid, block, self.out, to, S::LANES);
            }
        }
        for element in 0..A * A {
            for tile in grid.count(block)..=grid.block_tiles() {
                let at = element * work.element() + tile * S::LANES;
                self.out.put(s, at, s.splat(0.0), S::LANES);
            }
        }
    }
}

/// Adds some blocks to the sums of a task.
struct Sums<'a, const A: usize> {
    work: &'a Work<'a, A>,
    tiles: &'a Tiles,
    task: &'a mut Task,
    /// Whether these are the first blocks.
    first: bool,
}

impl<const A: usize> Kernel for Sums<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            work, tiles, task, ..
        } = self;
        let (channels, group) = (work.channels(task), work.group());
        let width = task.filters.vectors * S::LANES;
        let panel = work.panel(task);
        task.sums.resize(A * A * panel, 0.0);
        let grads = &tiles.grads[task.filters.start / S::LANES * group..];
        let elements = task.sums.chunks_exact_mut(panel);
        for (element, out) in elements.enumerate() {
            let groups = out[..channels * width].chunks_mut(S::LANES * width);
            for (of_group, out) in task.groups.clone().zip(groups) {
                sums(
                    s,
                    (out.len() / width, task.filters.vectors),
                    Rows {
                        values: &tiles.inputs[of_group * group + element * work.element()..],
                        stride: 1,
                    },
                    Rows {
                        values: &grads[element * work.element()..],
                        stride: group,
                    },
                    tiles.steps.range(0..tiles.steps.len()),
                    Rows {
                        values: out,
                        stride: width,
                    },
                    !self.first,
                );
            }
        }
    }
}

/// Transforms the sums of a task.
struct Finish<'a, const A: usize> {
    work: &'a Work<'a, A>,
    task: &'a Task,
    out: &'a mut [MaybeUninit<f32>],
}

impl<const A: usize> Kernel for Finish<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let task = self.task;
        let channels = self.work.channels(task);
        let width = task.filters.vectors * S::LANES;
        let panel = self.work.panel(task);
        for channel in 0..channels {
            for vector in 0..task.filters.vectors {
                let lanes = vector * S::LANES;
                let from = At {
                    first: channel * width + lanes,
                    row: A * panel,
                    column: panel,
                };
                let to = At {
                    first: channel * 9 * width + lanes,
                    row: 3 * width,
                    column: width,
                };
                tile::<S, WeightGrad, A>(s, (&task.sums, from), (&mut *self.out, to));
            }
        }
    }
}
