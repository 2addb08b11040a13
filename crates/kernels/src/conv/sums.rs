//! Computes [`Sampled`] sums: tasks, tiles and the order of results.
//!
//! A task computes all channels of some images, with weights that were packed once for all tasks.
//! If there are more weights than images, a task computes one block of channels of all images
//! instead, and packs its own weights, so that they are read once.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::plan::{PackedBlock, Places, Plan, TILES};
use super::product::{Block, Step, blocks, index, product, tiled};
use super::sampled::{Phase, Sampled};
use super::transpose::Transpose;
use crate::simd::{Kernel, Level, Simd};

/// Number of steps of a sum between two accesses to its memory; their weights fit into the
/// first-level cache.
const STEPS: usize = 256;

/// Minimum number of pixels for which reading the weights pays off.
const PIXELS: usize = 128;

/// The operands of all tasks.
struct Work<'a> {
    level: Level,
    /// `[batch, groups · source channels, height, width]`.
    source: &'a [f32],
    weight: &'a [f32],
    /// `[groups · target channels]`.
    bias: Option<&'a [f32]>,
    /// The blocks of each group's target channels.
    blocks: Vec<Block>,
    /// Number of images that are computed together.
    images: usize,
    plans: Vec<Plan<'a>>,
}

impl Sampled {
    /// Computes the sums; writes all of `out`, `[batch, target channels, height, width]`.
    pub(crate) fn run(
        &self,
        level: Level,
        source: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [MaybeUninit<f32>],
    ) {
        if out.is_empty() {
            return;
        }
        let blocks = blocks(self.target_channels, level.lanes());
        let threads = rayon::current_num_threads();
        let pixels = self.target[0] * self.target[1];
        let many_weights = weight.len() > source.len() && self.groups * blocks.len() >= threads;
        let share = self.batch.div_ceil(if many_weights { 1 } else { threads });
        let images = PIXELS.div_ceil(pixels).min(share).max(1);
        let widths = || blocks.iter().map(|block| block.vectors * level.lanes());
        let plans = (0..self.groups)
            .flat_map(|group| self.phases.iter().map(move |phase| (group, phase)))
            .map(|place| Plan::new(self, place, images, widths()))
            .collect();
        let work = Work {
            level,
            source,
            weight,
            bias,
            blocks,
            images,
            plans,
        };
        if many_weights {
            self.by_blocks(&work, out);
        } else {
            self.by_images(&work, out);
        }
    }

    /// Number of values of a source image.
    fn image_in(&self) -> usize {
        self.groups * self.source_channels * self.source[0] * self.source[1]
    }

    /// Number of values of a target image.
    fn image_out(&self) -> usize {
        self.groups * self.target_channels * self.target[0] * self.target[1]
    }

    /// Computes with some images per task.
    fn by_images(&self, work: &Work, out: &mut [MaybeUninit<f32>]) {
        let pixels = self.target[0] * self.target[1];
        let image_out = self.image_out();
        let pack = |plan: &Plan| -> Vec<PackedBlock> {
            let blocks = work.blocks.par_iter();
            blocks
                .map(|&block| plan.pack(work.level, self, block, work.weight))
                .collect()
        };
        let packed: Vec<Vec<PackedBlock>> = work.plans.iter().map(pack).collect();
        out.par_chunks_mut(work.images * image_out)
            .zip(work.source.par_chunks(work.images * self.image_in()))
            .for_each_init(
                || (Scratch::default(), Vec::new()),
                |(scratch, windows), (out, source)| {
                    let images = out.len() / image_out;
                    for (plan, packed) in work.plans.iter().zip(&packed) {
                        windows.resize(images * self.source_channels * plan.window.len(), 0.0);
                        self.windows(plan, source, windows);
                        for packed in packed {
                            let first = plan.group * self.target_channels + packed.block.start;
                            let out = out.chunks_exact_mut(image_out);
                            let out = out.map(|image| &mut image[first * pixels..]);
                            self.block(work, plan, packed, windows, scratch, out);
                        }
                    }
                },
            );
    }

    /// Computes with one block of channels per task.
    fn by_blocks(&self, work: &Work, out: &mut [MaybeUninit<f32>]) {
        let pixels = self.target[0] * self.target[1];
        let see = |plan: &Plan| {
            let image = self.source_channels * plan.window.len();
            let mut windows = vec![0.0; self.batch * image];
            windows
                .par_chunks_mut(image.max(1))
                .zip(work.source.par_chunks(self.image_in().max(1)))
                .for_each(|(windows, source)| self.windows(plan, source, windows));
            windows
        };
        let windows: Vec<Vec<f32>> = work.plans.iter().map(see).collect();
        let of_group = self.phases.len();
        let groups = work.plans.chunks(of_group).zip(windows.chunks(of_group));
        let mut tasks: Vec<_> = groups
            .flat_map(|(plans, windows)| {
                let blocks = work.blocks.iter();
                blocks.map(move |&block| (plans, windows, block))
            })
            .map(|task| (task, Vec::with_capacity(self.batch)))
            .collect();
        for image in out.chunks_exact_mut(self.image_out()) {
            let mut rest = image;
            for ((_, _, block), targets) in &mut tasks {
                let (target, after) = rest.split_at_mut(block.len * pixels);
                targets.push(target);
                rest = after;
            }
        }
        tasks.into_par_iter().for_each_init(
            Scratch::default,
            |scratch, ((plans, windows, block), mut targets)| {
                for (plan, windows) in plans.iter().zip(windows) {
                    let packed = plan.pack(work.level, self, block, work.weight);
                    let some = work.images * self.source_channels * plan.window.len();
                    for (out, windows) in targets.chunks_mut(work.images).zip(windows.chunks(some))
                    {
                        let out = out.iter_mut().map(|out| &mut **out);
                        self.block(work, plan, &packed, windows, scratch, out);
                    }
                }
            },
        );
    }

    /// Copies the windows of some images that the pixels of a plan read.
    fn windows(&self, plan: &Plan, source: &[f32], windows: &mut [f32]) {
        let pixels = self.source[0] * self.source[1];
        let mut windows = windows.chunks_exact_mut(plan.window.len().max(1));
        for image in source.chunks_exact(self.image_in().max(1)) {
            let channels = image.chunks_exact(pixels.max(1));
            let channels = channels.skip(plan.group * self.source_channels);
            for (channel, window) in channels.take(self.source_channels).zip(&mut windows) {
                plan.window.copy(channel, window);
            }
        }
    }

    /// Computes one block of channels of some images. `out` has their channels, starting with the
    /// first of the block.
    fn block<'o>(
        &self,
        work: &Work,
        plan: &Plan,
        packed: &PackedBlock,
        windows: &[f32],
        scratch: &mut Scratch,
        out: impl ExactSizeIterator<Item = &'o mut [MaybeUninit<f32>]>,
    ) {
        let level = work.level;
        let width = packed.block.vectors * level.lanes();
        scratch.bias.clear();
        if let Some(bias) = work.bias {
            let first = plan.group * self.target_channels + packed.block.start;
            scratch
                .bias
                .extend_from_slice(&bias[first..first + packed.block.len]);
        }
        scratch.bias.resize(width, 0.0);
        let images = out.len();
        let pixels = plan.phase.grid[0] * plan.phase.grid[1];
        // One more row for the padding of the last tile of a zone.
        scratch.sums.resize((images * pixels + 1) * width, 0.0);
        level.run(Sums {
            plan,
            images,
            channels: self.source_channels,
            windows,
            places: plan.places(images),
            packed,
            bias: &scratch.bias,
            out: &mut scratch.sums,
        });
        let sums = scratch.sums.chunks_exact(pixels * width);
        for (out, sums) in out.zip(sums) {
            self.place(level, plan.phase, packed.block.len, width, sums, out);
        }
    }

    /// Transposes `[pixel][lane]` of one image to `[channel][pixel]` at the positions of the phase.
    fn place(
        &self,
        level: Level,
        phase: &Phase,
        channels: usize,
        width: usize,
        sums: &[f32],
        out: &mut [MaybeUninit<f32>],
    ) {
        let pixels = self.target[0] * self.target[1];
        if self.spacing == [1, 1] {
            level.run(Transpose {
                source: sums,
                rows: sums.len() / width,
                columns: channels,
                stride: width,
                out,
                out_stride: pixels,
                ahead: 0,
            });
            return;
        }
        let [_, columns] = phase.grid;
        for (row, sums) in sums.chunks_exact(columns * width).enumerate() {
            let row = phase.start[0] + row * self.spacing[0];
            for channel in 0..channels {
                let start = channel * pixels + row * self.target[1] + phase.start[1];
                let out = out[start..].iter_mut().step_by(self.spacing[1]);
                for (out, sums) in out.zip(sums.chunks_exact(width)) {
                    out.write(sums[channel]);
                }
            }
        }
    }
}

/// Memory that a thread reuses for its next task.
#[derive(Default)]
struct Scratch {
    bias: Vec<f32>,
    sums: Vec<f32>,
}

/// Computes the sums of the pixels of some images for one block of channels; each row of `out` is a
/// pixel, with channels as lanes.
struct Sums<'a> {
    plan: &'a Plan<'a>,
    images: usize,
    /// Number of source channels.
    channels: usize,
    windows: &'a [f32],
    places: &'a Places,
    packed: &'a PackedBlock,
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        tiled!(S, self.packed.block.vectors, sums(s, &mut self));
    }
}

#[inline(always)]
fn sums<S: Simd, const M: usize, const N: usize>(s: S, work: &mut Sums) {
    let some = (STEPS / work.plan.phase.taps.len().max(1)).max(1);
    // At least once, even without channels, because of the bias.
    for first in (0..work.channels.max(1)).step_by(some) {
        let last = work.channels.min(first + some);
        let mut start = 0;
        for (zone, steps) in work.plan.zones.iter().zip(work.plan.steps(N * S::LANES)) {
            let count = work.images * zone.pixels();
            let range = start..start + count.next_multiple_of(M);
            start += count.next_multiple_of(TILES);
            let taps = zone.taps.len();
            let tiles = Tiles {
                steps: &steps[first * taps..last * taps],
                pixels: &work.places.pixels[range.clone()],
                rows: &work.places.rows[range],
                windows: work.windows,
                weights: &work.packed.weights,
                bias: (first == 0).then_some(work.bias),
            };
            tiles.add::<S, M, N>(s, work.out);
        }
    }
}

/// Some steps of the sums of a zone.
struct Tiles<'a> {
    steps: &'a [Step],
    pixels: &'a [u32],
    rows: &'a [u32],
    windows: &'a [f32],
    weights: &'a [f32],
    /// The initial values of the sums, for their first steps; later steps add to `out`.
    bias: Option<&'a [f32]>,
}

impl Tiles<'_> {
    #[inline(always)]
    fn add<S: Simd, const M: usize, const N: usize>(&self, s: S, out: &mut [f32]) {
        let width = N * S::LANES;
        let vector_at: [u32; N] = std::array::from_fn(|j| index(j * S::LANES));
        let tiles = self.pixels.chunks_exact(M).zip(self.rows.chunks_exact(M));
        for (pixels, rows) in tiles {
            let pixels: &[u32; M] = pixels.first_chunk().expect("a whole tile");
            let mut tile = [[s.splat(0.0); N]; M];
            for i in 0..M {
                let sums = &out[rows[i] as usize * width..][..width];
                let from = self.bias.unwrap_or(sums);
                for j in 0..N {
                    tile[i][j] = s.load(&from[j * S::LANES..]);
                }
            }
            product(
                s,
                (self.windows, pixels),
                (self.weights, &vector_at),
                self.steps,
                &mut tile,
            );
            for i in 0..M {
                let sums = &mut out[rows[i] as usize * width..][..width];
                for j in 0..N {
                    s.store(tile[i][j], &mut sums[j * S::LANES..]);
                }
            }
        }
    }
}
