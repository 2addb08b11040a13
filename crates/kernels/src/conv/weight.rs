//! The gradient of the weight of a `k × k` convolution, without im2col.
//!
//! It is a sum over all output pixels of the batch: the gradient of the output at a pixel, with
//! channels as lanes, times the input values that each input channel and kernel element read there.
//! Tasks divide these channels and elements, so that the order of every sum is independent of the
//! number of threads.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::product::{Block, Step, blocks, index, product, tiled};
use super::transpose::Transpose;
use super::window::Window;
use crate::simd::{Kernel, Level, Simd};

/// Number of pixels that are summed between two accesses to the memory of a tile.
const PIXELS: usize = 256;

/// Number of input channels times kernel elements per unit of work: a multiple of the height of
/// every tile.
const UNIT: usize = 24;

/// Computes the gradient of the weight; writes all of `out`, `[channels out, channels in / groups,
/// kernel height, kernel width]`.
pub(crate) fn weight_grad(
    level: Level,
    g: &Geometry,
    input: &[f32],
    grad: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    // Strided and padded images may have as many pixels as their outputs, but not the same ones.
    let pixelwise = g.taps() == 1 && g.stride == [1, 1] && g.padding == [0, 0];
    if pixelwise && g.groups == 1 && g.input == g.output && g.channels_in < g.channels_out {
        // For a 1 × 1 convolution either operand can be broadcast; the one with fewer channels is
        // packed.
        let swapped = Geometry {
            channels_in: g.channels_out,
            channels_out: g.channels_in,
            ..*g
        };
        let mut work = Work::new(level, &swapped, 0, grad);
        work.transposed = true;
        work.run(input, out);
        return;
    }
    let group_len = g.group_out() * g.group_in() * g.taps();
    for (group, out) in out.chunks_exact_mut(group_len).enumerate() {
        Work::new(level, g, group, input).run(grad, out);
    }
}

/// The gradient of one group.
struct Work<'a> {
    level: Level,
    g: &'a Geometry,
    group: usize,
    input: &'a [f32],
    blocks: Vec<Block>,
    /// Number of images that are computed together.
    images: usize,
    window: Window,
    /// Whether the input is read in place because its windows are its channels.
    direct: bool,
    /// Whether the result has the order `[row][output channel]`.
    transposed: bool,
}

/// Some rows (input channel, kernel element), and their sums as `[block][row][lane]`.
struct Rows {
    range: Range<usize>,
    sums: Vec<f32>,
}

impl<'a> Work<'a> {
    fn new(level: Level, g: &'a Geometry, group: usize, input: &'a [f32]) -> Self {
        let size = |axis: usize| {
            (g.output[axis] - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1
        };
        let window = Window {
            source: g.input,
            start: g.padding.map(|padding| -padding.cast_signed()),
            size: [size(0), size(1)],
        };
        Self {
            level,
            g,
            group,
            input,
            blocks: blocks(g.group_out(), level.lanes()),
            images: PIXELS.div_ceil(g.pixels_out()).min(g.batch),
            direct: window.start == [0, 0] && window.size == window.source,
            window,
            transposed: false,
        }
    }

    /// Number of lanes of all blocks.
    fn width(&self) -> usize {
        let vectors: usize = self.blocks.iter().map(|block| block.vectors).sum();
        vectors * self.level.lanes()
    }

    fn run(&self, grad: &[f32], out: &mut [MaybeUninit<f32>]) {
        let packed = self.pack(grad);
        let rows = self.g.group_in() * self.g.taps();
        let units = rows.div_ceil(UNIT);
        let tasks = units.min(4 * rayon::current_num_threads());
        let results: Vec<Rows> = (0..tasks)
            .into_par_iter()
            .map(|task| {
                let start = units * task / tasks * UNIT;
                let end = (units * (task + 1) / tasks * UNIT).min(rows);
                self.rows(start..end, &packed)
            })
            .collect();

        if self.transposed {
            self.place_transposed(&results, out);
            return;
        }
        let mut rest = out;
        let mut pieces = Vec::new();
        for block in &self.blocks {
            let (piece, after) = rest.split_at_mut(block.len * rows);
            pieces.push((block, piece));
            rest = after;
        }
        let lanes = self.level.lanes();
        pieces.into_par_iter().for_each(|(block, out)| {
            let before = self
                .blocks
                .iter()
                .take_while(|other| other.start < block.start);
            let before: usize = before.map(|block| block.vectors * lanes).sum();
            let width = block.vectors * lanes;
            for Rows { range, sums } in &results {
                let height = range.len().next_multiple_of(UNIT);
                let sums = &sums[before * height..][..range.len() * width];
                self.level.run(Transpose {
                    source: sums,
                    rows: range.len(),
                    columns: block.len,
                    stride: width,
                    out: &mut out[range.start..],
                    out_stride: rows,
                    ahead: 0,
                });
            }
        });
    }

    /// Writes the sums as `[row][output channel]`.
    fn place_transposed(&self, results: &[Rows], out: &mut [MaybeUninit<f32>]) {
        let targets = self.g.group_out();
        for Rows { range, sums } in results {
            let height = range.len().next_multiple_of(UNIT);
            let mut sums = &sums[..];
            for block in &self.blocks {
                let width = block.vectors * self.level.lanes();
                let (piece, rest) = sums.split_at(height * width);
                sums = rest;
                for (row, sums) in range.clone().zip(piece.chunks_exact(width)) {
                    let out = &mut out[row * targets + block.start..][..block.len];
                    for (out, &sum) in out.iter_mut().zip(sums) {
                        out.write(sum);
                    }
                }
            }
        }
    }

    /// Packs the gradient of the output as `[chunk of images][block][image, pixel][lane]`.
    fn pack(&self, grad: &[f32]) -> Vec<f32> {
        let (g, lanes) = (self.g, self.level.lanes());
        let pixels = g.pixels_out();
        let mut packed = vec![0.0; g.batch * pixels * self.width()];
        packed
            .par_chunks_mut(self.images * pixels * self.width())
            .zip(grad.par_chunks(self.images * g.image_out()))
            .for_each(|(mut packed, grad)| {
                let count = grad.len() / g.image_out();
                for block in &self.blocks {
                    let width = block.vectors * lanes;
                    let (piece, rest) = packed.split_at_mut(count * pixels * width);
                    packed = rest;
                    let first = (self.group * g.group_out() + block.start) * pixels;
                    for (grad, out) in grad
                        .chunks_exact(g.image_out())
                        .zip(piece.chunks_exact_mut(pixels * width))
                    {
                        self.level.run(Transpose {
                            source: &grad[first..],
                            rows: block.len,
                            columns: pixels,
                            stride: pixels,
                            out,
                            out_stride: width,
                            ahead: 0,
                        });
                    }
                }
            });
        packed
    }

    /// Computes the sums of some rows over all images.
    fn rows(&self, range: Range<usize>, packed: &[f32]) -> Rows {
        let (g, lanes, window) = (self.g, self.level.lanes(), self.window);
        let taps = g.taps();
        let channels = range.start / taps..range.end.div_ceil(taps);
        let height = range.len().next_multiple_of(UNIT);
        let pixels = g.pixels_out();
        let first = self.group * g.group_in() + channels.start;

        let mut spread_at: Vec<u32> = range
            .clone()
            .map(|row| {
                let (channel, tap) = (row / taps - channels.start, row % taps);
                let (top, left) = (tap / g.kernel[1], tap % g.kernel[1]);
                let place = top * g.dilation[0] * window.size[1] + left * g.dilation[1];
                let channel = if self.direct {
                    first + channel
                } else {
                    channel
                };
                index(channel * window.len() + place)
            })
            .collect();
        spread_at.resize(height, 0);

        let per_image = if self.direct {
            g.image_in()
        } else {
            channels.len() * window.len()
        };
        let spread: Vec<u32> = (0..self.images * pixels)
            .map(|pixel| {
                let (image, pixel) = (pixel / pixels, pixel % pixels);
                let (row, column) = (pixel / g.output[1], pixel % g.output[1]);
                let place = row * g.stride[0] * window.size[1] + column * g.stride[1];
                index(image * per_image + place)
            })
            .collect();
        // The steps for blocks of one, two and three vectors.
        let steps: [Vec<Step>; 3] = std::array::from_fn(|vectors| {
            let width = (vectors + 1) * lanes;
            let used = self.blocks.iter().any(|block| block.vectors == vectors + 1);
            let spread = spread.iter().take(if used { spread.len() } else { 0 });
            spread
                .enumerate()
                .map(|(pixel, &spread)| Step {
                    spread,
                    vector: index(pixel * width),
                })
                .collect()
        });

        let copied = if self.direct {
            0
        } else {
            self.images * per_image
        };
        let mut windows = vec![0.0; copied];
        let mut sums = vec![0.0; self.width() * height];
        for (images, mut packed) in self
            .input
            .chunks(self.images * g.image_in())
            .zip(packed.chunks(self.images * pixels * self.width()))
        {
            let count = images.len() / g.image_in();
            for (image, windows) in images
                .chunks_exact(g.image_in())
                .zip(windows.chunks_exact_mut(per_image))
            {
                let image = &image[first * g.pixels_in()..];
                for (channel, window) in image
                    .chunks_exact(g.pixels_in())
                    .zip(windows.chunks_exact_mut(window.len()))
                {
                    self.window.copy(channel, window);
                }
            }
            let mut sums = &mut sums[..];
            for block in &self.blocks {
                let width = block.vectors * lanes;
                let (piece, after) = sums.split_at_mut(height * width);
                sums = after;
                let (vector, after) = packed.split_at(count * pixels * width);
                packed = after;
                self.level.run(Sums {
                    windows: if self.direct { images } else { &windows },
                    spread_at: &spread_at,
                    vector,
                    vectors: block.vectors,
                    steps: &steps[block.vectors - 1][..count * pixels],
                    out: piece,
                });
            }
        }
        Rows { range, sums }
    }
}

/// Adds one chunk of images to the sums of one block.
struct Sums<'a> {
    windows: &'a [f32],
    spread_at: &'a [u32],
    vector: &'a [f32],
    vectors: usize,
    steps: &'a [Step],
    out: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        tiled!(S, self.vectors, add(s, &mut self));
    }
}

#[inline(always)]
fn add<S: Simd, const M: usize, const N: usize>(s: S, work: &mut Sums) {
    let width = N * S::LANES;
    let vector_at: [u32; N] = std::array::from_fn(|j| index(j * S::LANES));
    for steps in work.steps.chunks(PIXELS) {
        let tiles = work.spread_at.chunks_exact(M);
        for (spread_at, sums) in tiles.zip(work.out.chunks_exact_mut(M * width)) {
            let spread_at: &[u32; M] = spread_at.first_chunk().expect("a whole tile");
            let mut tile = [[s.splat(0.0); N]; M];
            for i in 0..M {
                for j in 0..N {
                    tile[i][j] = s.load(&sums[i * width + j * S::LANES..]);
                }
            }
            product(
                s,
                (work.windows, spread_at),
                (work.vector, &vector_at),
                steps,
                &mut tile,
            );
            for i in 0..M {
                for j in 0..N {
                    s.store(tile[i][j], &mut sums[i * width + j * S::LANES..]);
                }
            }
        }
    }
}
