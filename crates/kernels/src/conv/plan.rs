//! Data that all tasks of a [`Sampled`] sum share: the offsets that they read, and the weights in
//! the order in which they are read.

use std::mem::MaybeUninit;

use super::product::{Block, Step, index};
use super::sampled::{Phase, Sampled};
use super::transpose::Transpose;
use super::window::Window;
use super::zones::Zone;
use crate::memory::written;
use crate::simd::Level;

/// A multiple of the number of pixels of every tile.
pub(super) const TILES: usize = 48;

/// One phase of one group.
pub(super) struct Plan<'a> {
    pub(super) group: usize,
    pub(super) phase: &'a Phase,
    /// The window of a source channel that contains everything that the pixels read.
    pub(super) window: Window,
    pub(super) zones: Vec<Zone>,
    /// Offset of each source channel and tap in the windows of an image.
    offsets: Vec<u32>,
    /// The steps of each zone, by the width of the block in lanes.
    steps: Vec<(usize, Vec<Vec<Step>>)>,
    /// The pixels, by the number of images.
    places: Vec<(usize, Places)>,
}

/// The pixels of the images of a task, zone by zone; each zone is padded to a multiple of
/// [`TILES`].
pub(super) struct Places {
    /// Offset of each pixel in the windows.
    pub(super) pixels: Vec<u32>,
    /// The row for its sums; for padding, the row after all others.
    pub(super) rows: Vec<u32>,
}

/// The weights of a block of channels, in the order `[source channel · tap][lane]`.
pub(super) struct PackedBlock {
    pub(super) block: Block,
    pub(super) weights: Vec<f32>,
}

impl<'a> Plan<'a> {
    /// Makes the plan for blocks of widths `widths`, in lanes, and tasks of `images` images (the
    /// last task may have fewer).
    pub(super) fn new(
        sampled: &Sampled,
        (group, phase): (usize, &'a Phase),
        images: usize,
        widths: impl Iterator<Item = usize>,
    ) -> Self {
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
        let mut plan = Self {
            group,
            phase,
            window,
            zones: Zone::of(phase, sampled.source, images),
            offsets,
            steps: Vec::new(),
            places: Vec::new(),
        };
        for width in widths {
            if plan.steps.iter().all(|(known, _)| *known != width) {
                let steps = plan.zones.iter().map(|zone| plan.steps_of(zone, width));
                let steps = steps.collect();
                plan.steps.push((width, steps));
            }
        }
        for count in [images, sampled.batch % images] {
            let places = plan.places_of(count, sampled.source_channels);
            plan.places.push((count, places));
        }
        plan
    }

    fn places_of(&self, images: usize, channels: usize) -> Places {
        let [rows, columns] = self.phase.grid;
        let [down, right] = self.phase.step;
        let mut places = Places {
            pixels: Vec::new(),
            rows: Vec::new(),
        };
        for zone in &self.zones {
            for image in 0..images {
                for &row in &zone.rows {
                    let seen = image * channels * self.window.len();
                    let seen = seen + row * down * self.window.size[1];
                    let goes = (image * rows + row) * columns;
                    for &column in &zone.columns {
                        places.pixels.push(index(seen + column * right));
                        places.rows.push(index(goes + column));
                    }
                }
            }
            let whole = places.pixels.len().next_multiple_of(TILES);
            places.pixels.resize(whole, 0);
            places.rows.resize(whole, index(images * rows * columns));
        }
        places
    }

    fn steps_of(&self, zone: &Zone, width: usize) -> Vec<Step> {
        let channels = (0..self.offsets.len()).step_by(self.phase.taps.len().max(1));
        let step = |step: usize| Step {
            spread: self.offsets[step],
            vector: index(step * width),
        };
        channels
            .flat_map(|channel| zone.taps.iter().map(move |tap| step(channel + tap)))
            .collect()
    }

    /// The steps of each zone, channel by channel, for a block of `width` lanes.
    pub(super) fn steps(&self, width: usize) -> &[Vec<Step>] {
        let known = self.steps.iter().find(|(known, _)| *known == width);
        &known.expect("a width of the plan's blocks").1
    }

    /// The pixels of `images` images: as many as a task has, or as are left for the last task.
    pub(super) fn places(&self, images: usize) -> &Places {
        let known = self.places.iter().find(|(known, _)| *known == images);
        &known.expect("a number of the plan's images").1
    }

    /// Packs the weights of one block.
    pub(super) fn pack(
        &self,
        level: Level,
        sampled: &Sampled,
        block: Block,
        weight: &[f32],
    ) -> PackedBlock {
        let width = block.vectors * level.lanes();
        let strides = &sampled.weight_strides;
        let taps = &self.phase.taps;
        let weight = &weight[self.group * strides.group + block.start * strides.target..];
        let from: Vec<usize> = (0..sampled.source_channels)
            .flat_map(|channel| {
                taps.iter()
                    .map(move |tap| channel * strides.source + tap.kernel)
            })
            .collect();
        let fill = |out: &mut [MaybeUninit<f32>]| {
            if block.len < width {
                out.fill(MaybeUninit::new(0.0));
            }
            if from.iter().enumerate().all(|(step, &from)| step == from) {
                level.run(Transpose {
                    source: weight,
                    rows: block.len,
                    columns: from.len(),
                    stride: strides.target,
                    out,
                    out_stride: width,
                    ahead: 128,
                });
            } else if taps.len() == strides.target {
                // All kernels of a source channel, in order.
                for (channel, out) in out.chunks_exact_mut(taps.len() * width).enumerate() {
                    level.run(Transpose {
                        source: &weight[channel * strides.source..],
                        rows: block.len,
                        columns: taps.len(),
                        stride: taps.len(),
                        out,
                        out_stride: width,
                        ahead: strides.source,
                    });
                }
            } else {
                // Sixteen steps at a time, which is one cache line of the weights.
                for (from, out) in from.chunks(16).zip(out.chunks_mut(16 * width)) {
                    for channel in 0..block.len {
                        let row = &weight[channel * strides.target..];
                        for (&from, out) in from.iter().zip(out.chunks_exact_mut(width)) {
                            out[channel].write(row[from]);
                        }
                    }
                }
            }
        };
        // SAFETY: each branch writes all steps of the block's channels; lanes without a channel
        // were zeroed before.
        #[allow(unsafe_code, reason = "weights are written once, not zeroed first")]
        let weights = unsafe { written(from.len() * width, fill) };
        PackedBlock { block, weights }
    }
}
