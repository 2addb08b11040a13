//! `k × k` convolutions and their input gradients, without columns in memory.
//!
//! Both are sums over source channels and kernel elements of shifted source pixels. The output
//! channels are the lanes of the vectors, a pixel's value is spread over them, and where a pixel
//! lies is an offset into the padded image ([`super::product`]).

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::product::{Block, Step, blocks, index, product, tiled};
use super::transpose::Transpose;
use super::window::Window;
use crate::simd::{Kernel, Level, Simd};

/// Steps of a sum between two visits of memory: their weights stay in the first-level cache.
const STEPS: usize = 256;

/// Pixels that a task needs to make good use of weights once read.
const PIXELS: usize = 128;

/// A kernel element: where it reads, relative to a grid pixel's place in the source.
pub(super) struct Tap {
    pub(super) offset: [isize; 2],
    /// Its index in the kernel.
    pub(super) kernel: usize,
}

/// Output pixels that see the same kernel elements.
pub(super) struct Phase {
    /// Rows and columns of these pixels.
    pub(super) grid: [usize; 2],
    /// Source pixels from one to the next.
    pub(super) step: [usize; 2],
    /// Where the first one lies in the output.
    pub(super) start: [usize; 2],
    pub(super) taps: Vec<Tap>,
}

/// A sum of shifted source pixels.
pub(crate) struct Sampled {
    batch: usize,
    pub(super) groups: usize,
    /// Channels a group reads and writes.
    source_channels: usize,
    target_channels: usize,
    /// Sizes of the images read and written.
    pub(super) source: [usize; 2],
    pub(super) target: [usize; 2],
    /// Output pixels from one pixel of a phase to the next.
    pub(super) spacing: [usize; 2],
    pub(super) phases: Vec<Phase>,
    /// Weights from one target or source channel to the next, and to the next group.
    weight_strides: WeightStrides,
}

struct WeightStrides {
    target: usize,
    source: usize,
    group: usize,
}

impl Sampled {
    /// The convolution itself: windows of the input.
    pub(crate) fn forward(g: &Geometry) -> Self {
        let offset = |axis: usize, element: usize| {
            (element * g.dilation[axis]).cast_signed() - g.padding[axis].cast_signed()
        };
        let taps = (0..g.taps())
            .map(|kernel| Tap {
                offset: [
                    offset(0, kernel / g.kernel[1]),
                    offset(1, kernel % g.kernel[1]),
                ],
                kernel,
            })
            .collect();
        Self {
            batch: g.batch,
            groups: g.groups,
            source_channels: g.group_in(),
            target_channels: g.group_out(),
            source: g.input,
            target: g.output,
            spacing: [1, 1],
            phases: vec![Phase {
                grid: g.output,
                step: g.stride,
                start: [0, 0],
                taps,
            }],
            weight_strides: WeightStrides {
                target: g.group_in() * g.taps(),
                source: g.taps(),
                group: g.group_out() * g.group_in() * g.taps(),
            },
        }
    }

    /// The gradient of the input: an input pixel collects the outputs whose windows saw it. Which
    /// kernel elements those are depends on its row and column modulo the stride.
    pub(crate) fn input_grad(g: &Geometry) -> Self {
        // The output row whose window has this kernel row on input row `start`, if one has.
        let offset = |axis: usize, start: usize, element: usize| {
            let distance = (start + g.padding[axis]).cast_signed()
                - (element * g.dilation[axis]).cast_signed();
            let stride = g.stride[axis].cast_signed();
            (distance % stride == 0).then_some(distance / stride)
        };
        let mut phases = Vec::new();
        for top in 0..g.stride[0].min(g.input[0]) {
            for left in 0..g.stride[1].min(g.input[1]) {
                let taps = (0..g.taps())
                    .filter_map(|kernel| {
                        let rows = offset(0, top, kernel / g.kernel[1])?;
                        let columns = offset(1, left, kernel % g.kernel[1])?;
                        Some(Tap {
                            offset: [rows, columns],
                            kernel,
                        })
                    })
                    .collect();
                phases.push(Phase {
                    grid: [
                        (g.input[0] - top).div_ceil(g.stride[0]),
                        (g.input[1] - left).div_ceil(g.stride[1]),
                    ],
                    step: [1, 1],
                    start: [top, left],
                    taps,
                });
            }
        }
        Self {
            batch: g.batch,
            groups: g.groups,
            source_channels: g.group_out(),
            target_channels: g.group_in(),
            source: g.output,
            target: g.input,
            spacing: g.stride,
            phases,
            weight_strides: WeightStrides {
                target: g.taps(),
                source: g.group_in() * g.taps(),
                group: g.group_out() * g.group_in() * g.taps(),
            },
        }
    }

    /// Computes all of `out`, `[batch, target channels, height, width]`.
    pub(crate) fn run(
        &self,
        level: Level,
        source: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [MaybeUninit<f32>],
    ) {
        let plans = self.plans(level, weight);
        let image_in = self.groups * self.source_channels * self.source[0] * self.source[1];
        let image_out = self.groups * self.target_channels * self.target[0] * self.target[1];
        if image_out == 0 {
            return;
        }
        let pixels = self.target[0] * self.target[1];
        let share = self.batch.div_ceil(rayon::current_num_threads());
        let images = PIXELS.div_ceil(pixels).min(share).max(1);
        out.par_chunks_mut(images * image_out)
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (chunk, out)| {
                let count = out.len() / image_out;
                let first = chunk * images;
                let source = &source[first * image_in..(first + count) * image_in];
                for plan in &plans {
                    self.chunk(level, plan, source, bias, scratch, out);
                }
            });
    }

    /// What every task needs: packed weights and offsets.
    fn plans(&self, level: Level, weight: &[f32]) -> Vec<Plan<'_>> {
        let blocks = blocks(self.target_channels, level.lanes());
        let mut plans: Vec<Plan> = (0..self.groups)
            .flat_map(|group| self.phases.iter().map(move |phase| (group, phase)))
            .map(|(group, phase)| Plan::new(self, group, phase))
            .collect();
        for plan in &mut plans {
            plan.blocks = blocks
                .par_iter()
                .map(|&block| self.pack(level, plan, block, weight))
                .collect();
        }
        plans
    }

    /// A block's weights as `[source channel · tap][lane]`.
    fn pack(&self, level: Level, plan: &Plan, block: Block, weight: &[f32]) -> PackedBlock {
        let width = block.vectors * level.lanes();
        let strides = &self.weight_strides;
        let weight = &weight[plan.group * strides.group + block.start * strides.target..];
        let from: Vec<usize> = (0..self.source_channels)
            .flat_map(|channel| {
                let taps = plan.phase.taps.iter();
                taps.map(move |tap| channel * strides.source + tap.kernel)
            })
            .collect();
        let mut weights = vec![0.0; from.len() * width];
        if from.iter().enumerate().all(|(step, &from)| step == from) {
            level.run(Transpose {
                source: weight,
                rows: block.len,
                columns: from.len(),
                stride: strides.target,
                out: &mut weights[..],
                out_stride: width,
            });
        } else if plan.phase.taps.len() == strides.target {
            // All of a source channel's kernels, in order.
            let taps = strides.target;
            for (channel, out) in weights.chunks_exact_mut(taps * width).enumerate() {
                level.run(Transpose {
                    source: &weight[channel * strides.source..],
                    rows: block.len,
                    columns: taps,
                    stride: taps,
                    out,
                    out_stride: width,
                });
            }
        } else {
            // Sixteen steps at a time: what one cache line of the weights holds.
            for (from, out) in from.chunks(16).zip(weights.chunks_mut(16 * width)) {
                for channel in 0..block.len {
                    let row = &weight[channel * strides.target..];
                    for (&from, out) in from.iter().zip(out.chunks_exact_mut(width)) {
                        out[channel] = row[from];
                    }
                }
            }
        }
        let steps = plan.offsets.iter().enumerate();
        PackedBlock {
            block,
            weights,
            steps: steps
                .map(|(step, &spread)| Step {
                    spread,
                    vector: index(step * width),
                })
                .collect(),
        }
    }

    /// One phase of one group on some images.
    fn chunk(
        &self,
        level: Level,
        plan: &Plan,
        source: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut Scratch,
        out: &mut [MaybeUninit<f32>],
    ) {
        let pixels_in = self.source[0] * self.source[1];
        let image_in = self.groups * self.source_channels * pixels_in;
        let image_out = self.groups * self.target_channels * self.target[0] * self.target[1];
        let images = out.len() / image_out;
        let window = plan.window.len();

        scratch
            .windows
            .resize(images * self.source_channels * window, 0.0);
        let mut windows = scratch.windows.chunks_exact_mut(window.max(1));
        for image in source.chunks_exact(image_in.max(1)) {
            let channels = image.chunks_exact(pixels_in.max(1));
            let channels = channels.skip(plan.group * self.source_channels);
            for (channel, window) in channels.take(self.source_channels).zip(&mut windows) {
                plan.window.copy(channel, window);
            }
        }

        // Where each pixel lies; the last tile is filled up with the first pixel.
        let [rows, columns] = plan.phase.grid;
        let pixels = images * rows * columns;
        scratch.pixels.clear();
        for image in 0..images {
            for row in 0..rows {
                let start = image * self.source_channels * window
                    + row * plan.phase.step[0] * plan.window.size[1];
                let places = (0..columns).map(|column| start + column * plan.phase.step[1]);
                scratch.pixels.extend(places.map(index));
            }
        }
        scratch.pixels.resize(pixels.next_multiple_of(48), 0);

        for packed in &plan.blocks {
            let width = packed.block.vectors * level.lanes();
            let first = plan.group * self.target_channels + packed.block.start;
            scratch.bias.clear();
            scratch.bias.resize(width, 0.0);
            if let Some(bias) = bias {
                scratch.bias[..packed.block.len]
                    .copy_from_slice(&bias[first..first + packed.block.len]);
            }
            scratch.sums.resize(scratch.pixels.len() * width, 0.0);
            level.run(Sums {
                windows: &scratch.windows,
                pixels: &scratch.pixels,
                count: pixels,
                packed,
                bias: &scratch.bias,
                out: &mut scratch.sums,
            });
            for (image, sums) in scratch.sums[..pixels * width]
                .chunks_exact(rows * columns * width)
                .enumerate()
            {
                let start = image * image_out + first * self.target[0] * self.target[1];
                self.place(
                    level,
                    plan.phase,
                    packed.block.len,
                    width,
                    sums,
                    &mut out[start..],
                );
            }
        }
    }

    /// Turns `[pixel][lane]` of one image into `[channel][pixel]` at the phase's places.
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

/// A phase of a group, with what its tasks share.
struct Plan<'a> {
    group: usize,
    phase: &'a Phase,
    /// What all pixels together see of a source channel.
    window: Window,
    /// Where each source channel and tap lies in the windows of an image.
    offsets: Vec<u32>,
    blocks: Vec<PackedBlock>,
}

struct PackedBlock {
    block: Block,
    weights: Vec<f32>,
    steps: Vec<Step>,
}

impl<'a> Plan<'a> {
    fn new(sampled: &Sampled, group: usize, phase: &'a Phase) -> Self {
        let range = |axis: usize| {
            let offsets = phase.taps.iter().map(|tap| tap.offset[axis]);
            let low = offsets.clone().min().unwrap_or(0);
            let high = offsets.max().unwrap_or(0);
            let reach = (phase.grid[axis] - 1) * phase.step[axis];
            (low, (high - low).cast_unsigned() + reach + 1)
        };
        let (rows, columns) = (range(0), range(1));
        let window = Window {
            source: sampled.source,
            start: [rows.0, columns.0],
            size: [rows.1, columns.1],
        };
        let offsets = (0..sampled.source_channels)
            .flat_map(|channel| {
                phase.taps.iter().map(move |tap| {
                    let row = (tap.offset[0] - rows.0).cast_unsigned();
                    let column = (tap.offset[1] - columns.0).cast_unsigned();
                    index(channel * window.len() + row * window.size[1] + column)
                })
            })
            .collect();
        Self {
            group,
            phase,
            window,
            offsets,
            blocks: Vec::new(),
        }
    }
}

/// Memory that a thread uses again for its next task.
#[derive(Default)]
struct Scratch {
    windows: Vec<f32>,
    pixels: Vec<u32>,
    bias: Vec<f32>,
    sums: Vec<f32>,
}

/// The sums of all pixels for one block of channels, as `[pixel][lane]`.
struct Sums<'a> {
    windows: &'a [f32],
    /// Where each pixel lies, filled up to whole tiles.
    pixels: &'a [u32],
    /// Pixels without the filling.
    count: usize,
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
    let width = N * S::LANES;
    let vector_at: [u32; N] = std::array::from_fn(|j| index(j * S::LANES));
    let mut first = true;
    let mut rest = &work.packed.steps[..];
    while first || !rest.is_empty() {
        let (steps, after) = rest.split_at(rest.len().min(STEPS));
        rest = after;
        let tiles = work.pixels.chunks_exact(M).take(work.count.div_ceil(M));
        for (pixels, sums) in tiles.zip(work.out.chunks_exact_mut(M * width)) {
            let pixels: &[u32; M] = pixels.first_chunk().expect("a whole tile");
            let mut tile = [[s.splat(0.0); N]; M];
            for i in 0..M {
                for j in 0..N {
                    let from = if first {
                        &work.bias[j * S::LANES..]
                    } else {
                        &sums[i * width + j * S::LANES..]
                    };
                    tile[i][j] = s.load(from);
                }
            }
            product(
                s,
                (work.windows, pixels),
                (&work.packed.weights, &vector_at),
                steps,
                &mut tile,
            );
            for i in 0..M {
                for j in 0..N {
                    s.store(tile[i][j], &mut sums[i * width + j * S::LANES..]);
                }
            }
        }
        first = false;
    }
}
