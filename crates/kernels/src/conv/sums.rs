//! Computes [`Sampled`] sums: tasks, tiles and the order of results.
//!
//! A task computes all channels of some images, with weights that were packed once for all tasks.
//! If there are more weights than images, a task computes one block of channels of all images
//! instead, and packs its own weights, so that they are read once.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::part::{Operand, Part, by_images};
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
    operands: Vec<Operand<'a, Sampled>>,
    /// Number of images that are computed together.
    images: usize,
    plans: Vec<Plan<'a>>,
}

impl Sampled {
    /// The blocks of each group's target channels.
    fn blocks(&self, level: Level) -> Vec<Block> {
        blocks(self.target_channels, level.lanes())
    }
}

/// Computes the sums of all parts; writes all of their outputs. What they read of the source is arranged
/// once for all of them.
pub(crate) fn run<const N: usize>(
    level: Level,
    source: &[f32],
    mut parts: [Part<'_, '_, Sampled>; N],
) {
    if parts.iter().any(|part| part.out.is_empty()) {
        return;
    }
    let (operands, outs): (Vec<_>, Vec<_>) = parts.iter_mut().map(Part::split).unzip();
    // The parts have all but their target channels in common.
    let (first, sampled) = (&operands[0], operands[0].shape);
    let all: Vec<Block> = operands
        .iter()
        .flat_map(|part| part.shape.blocks(level))
        .collect();
    let threads = rayon::current_num_threads();
    let pixels = sampled.pixels();
    let many_weights = first.weight.len() > source.len()
        && sampled.groups * sampled.blocks(level).len() >= threads;
    let share = sampled
        .batch
        .div_ceil(if many_weights { 1 } else { threads });
    let images = PIXELS.div_ceil(pixels).min(share).max(1);
    let widths = || all.iter().map(|block| block.vectors * level.lanes());
    let plans = (0..sampled.groups)
        .flat_map(|group| sampled.phases.iter().map(move |phase| (group, phase)))
        .map(|place| Plan::new(sampled, place, images, widths()))
        .collect();
    let work = Work {
        level,
        source,
        operands,
        images,
        plans,
    };
    if many_weights {
        work.by_blocks(outs);
    } else {
        work.by_images(outs);
    }
}

impl Sampled {
    /// Computes the sums alone; writes all of `out`, `[batch, target channels, height, width]`.
    pub(crate) fn run(
        self,
        level: Level,
        source: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [MaybeUninit<f32>],
    ) {
        let part = Part {
            shape: self,
            weight,
            bias,
            out,
        };
        run(level, source, [part]);
    }

    /// Number of values of a source image.
    fn image_in(&self) -> usize {
        self.groups * self.source_channels * self.source[0] * self.source[1]
    }

    /// Number of pixels of a target image.
    fn pixels(&self) -> usize {
        self.target[0] * self.target[1]
    }

    /// Number of values of a target image.
    fn image_out(&self) -> usize {
        self.groups * self.target_channels * self.pixels()
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
        let pixels = self.pixels();
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

impl Work<'_> {
    /// Computes with some images per task.
    fn by_images(&self, outs: Vec<&mut [MaybeUninit<f32>]>) {
        let sampled = self.operands[0].shape;
        let pack = |plan: &Plan, part: &Operand<Sampled>| -> Vec<PackedBlock> {
            let blocks = part.shape.blocks(self.level).into_par_iter();
            blocks
                .map(|block| plan.pack(self.level, part.shape, block, part.weight))
                .collect()
        };
        // By plan and by part.
        let packed: Vec<Vec<Vec<PackedBlock>>> = self
            .plans
            .iter()
            .map(|plan| self.operands.iter().map(|part| pack(plan, part)).collect())
            .collect();
        let values = |sampled: &Sampled| self.images * sampled.image_out();
        let sizes = self.operands.iter().map(|part| values(part.shape));
        let tasks = by_images(
            self.source,
            self.images * sampled.image_in(),
            sizes.zip(outs),
        );
        tasks.into_par_iter().for_each_init(
            || (Scratch::default(), Vec::new()),
            |(scratch, windows), (source, mut outs)| {
                let images = source.len() / sampled.image_in();
                for (plan, packed) in self.plans.iter().zip(&packed) {
                    windows.resize(images * sampled.source_channels * plan.window.len(), 0.0);
                    sampled.windows(plan, source, windows);
                    for ((part, packed), out) in self.operands.iter().zip(packed).zip(&mut outs) {
                        let (pixels, image) = (part.shape.pixels(), part.shape.image_out());
                        for packed in packed {
                            let channels = plan.group * part.shape.target_channels;
                            let first = (channels + packed.block.start) * pixels;
                            let out = out.chunks_exact_mut(image);
                            let out = out.map(|image| &mut image[first..]);
                            self.block(part, plan, packed, windows, scratch, out);
                        }
                    }
                }
            },
        );
    }

    /// Computes with one block of channels per task.
    fn by_blocks(&self, outs: Vec<&mut [MaybeUninit<f32>]>) {
        let sampled = self.operands[0].shape;
        let see = |plan: &Plan| {
            let image = sampled.source_channels * plan.window.len();
            let mut windows = vec![0.0; sampled.batch * image];
            windows
                .par_chunks_mut(image.max(1))
                .zip(self.source.par_chunks(sampled.image_in().max(1)))
                .for_each(|(windows, source)| sampled.windows(plan, source, windows));
            windows
        };
        let windows: Vec<Vec<f32>> = self.plans.iter().map(see).collect();
        let of_group = sampled.phases.len();
        let mut tasks = Vec::new();
        for (part, out) in self.operands.iter().zip(outs) {
            let blocks = part.shape.blocks(self.level);
            let groups = self.plans.chunks(of_group).zip(windows.chunks(of_group));
            let mut of_part: Vec<_> = groups
                .flat_map(|(plans, windows)| {
                    let blocks = blocks.iter();
                    blocks.map(move |&block| (part, plans, windows, block))
                })
                .map(|task| (task, Vec::with_capacity(sampled.batch)))
                .collect();
            for image in out.chunks_exact_mut(part.shape.image_out()) {
                let mut rest = image;
                for ((.., block), targets) in &mut of_part {
                    let (target, after) = rest.split_at_mut(block.len * part.shape.pixels());
                    targets.push(target);
                    rest = after;
                }
            }
            tasks.append(&mut of_part);
        }
        tasks.into_par_iter().for_each_init(
            Scratch::default,
            |scratch, ((part, plans, windows, block), mut targets)| {
                for (plan, windows) in plans.iter().zip(windows) {
                    let packed = plan.pack(self.level, part.shape, block, part.weight);
                    let some = self.images * sampled.source_channels * plan.window.len();
                    for (out, windows) in targets.chunks_mut(self.images).zip(windows.chunks(some))
                    {
                        let out = out.iter_mut().map(|out| &mut **out);
                        self.block(part, plan, &packed, windows, scratch, out);
                    }
                }
            },
        );
    }

    /// Computes one block of channels of some images. `out` has their channels, starting with the
    /// first of the block.
    fn block<'o>(
        &self,
        part: &Operand<Sampled>,
        plan: &Plan,
        packed: &PackedBlock,
        windows: &[f32],
        scratch: &mut Scratch,
        out: impl ExactSizeIterator<Item = &'o mut [MaybeUninit<f32>]>,
    ) {
        let level = self.level;
        let width = packed.block.vectors * level.lanes();
        scratch.bias.clear();
        if let Some(bias) = part.bias {
            let first = plan.group * part.shape.target_channels + packed.block.start;
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
            channels: part.shape.source_channels,
            windows,
            places: plan.places(images),
            packed,
            bias: &scratch.bias,
            out: &mut scratch.sums,
        });
        let sums = scratch.sums.chunks_exact(pixels * width);
        for (out, sums) in out.zip(sums) {
            part.shape
                .place(level, plan.phase, packed.block.len, width, sums, out);
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
