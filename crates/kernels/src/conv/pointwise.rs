//! `1 × 1` convolutions: the channels of every pixel times a matrix, without rearranging the
//! images.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::part::{Operand, Part, by_images};
use super::product::{Step, index, product, tiled};
use crate::simd::{Kernel, Level, Simd};

/// Minimum number of pixels per task, so that reading the matrix pays off.
const PIXELS: usize = 192;

/// The most tiles of pixels that are packed together, and the most values of all of them.
const TILES: usize = 8;
const PANEL: usize = 1 << 15;

/// `out[n, target, p] = Σ_source matrix[target, source] · source[n, source, p]`, where `p` are the
/// pixels of the smaller of the two images; a stride skips the others.
pub(crate) struct Pointwise {
    batch: usize,
    /// Number of channels read and written.
    sources: usize,
    targets: usize,
    /// Distance in the matrix between target channels and between source channels.
    target_stride: usize,
    source_stride: usize,
    /// Size of the source images, of which every `stride`-th row and column is read.
    size: [usize; 2],
    stride: [usize; 2],
    /// Number of rows and columns that are read.
    used: [usize; 2],
}

impl Pointwise {
    /// Whether a convolution only mixes the channels of each pixel.
    pub(crate) fn fits(g: &Geometry) -> bool {
        g.kernel == [1, 1]
            && g.groups == 1
            && g.padding == [0, 0]
            && (0..2).all(|axis| g.output[axis] == g.input[axis].div_ceil(g.stride[axis]))
    }

    /// The forward convolution.
    pub(crate) fn forward(g: &Geometry) -> Self {
        Self {
            batch: g.batch,
            sources: g.channels_in,
            targets: g.channels_out,
            target_stride: g.channels_in,
            source_stride: 1,
            size: g.input,
            stride: g.stride,
            used: g.output,
        }
    }

    /// The gradient of the input of a convolution with stride 1.
    pub(crate) fn input_grad(g: &Geometry) -> Self {
        Self {
            batch: g.batch,
            sources: g.channels_out,
            targets: g.channels_in,
            target_stride: 1,
            source_stride: g.channels_in,
            size: g.output,
            stride: [1, 1],
            used: g.output,
        }
    }

    /// Computes the product alone; writes all of `out`, `[batch, targets, rows read, columns read]`.
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

    /// Number of pixels of a target image.
    fn pixels(&self) -> usize {
        self.used[0] * self.used[1]
    }

    fn steps(&self, width: usize) -> Vec<Step> {
        (0..self.sources)
            .map(|source| Step {
                spread: index(source * self.source_stride),
                vector: index(source * width),
            })
            .collect()
    }

    /// Divides `len` pixels from `start` where `size` of them are full and where an image ends.
    fn runs(&self, start: usize, len: usize, size: usize) -> impl Iterator<Item = Run> {
        let pixels = self.pixels();
        let mut at = 0;
        std::iter::from_fn(move || {
            let (image, pixel) = ((start + at) / pixels, (start + at) % pixels);
            let run = Run {
                at,
                len: (pixels - pixel).min(size - at % size).min(len - at),
                image,
                pixel,
            };
            at += run.len;
            (run.len > 0).then_some(run)
        })
    }
}

/// Computes the products of all parts; writes all of their outputs. The pixels are packed once for all of
/// them.
pub(crate) fn run<const N: usize>(
    level: Level,
    source: &[f32],
    mut parts: [Part<'_, '_, Pointwise>; N],
) {
    let (operands, outs): (Vec<_>, Vec<_>) = parts.iter_mut().map(Part::split).unzip();
    // The parts have all but their targets in common.
    let shape = operands[0].shape;
    let pixels = shape.pixels();
    let per_thread = shape.batch.div_ceil(rayon::current_num_threads());
    let images = PIXELS.div_ceil(pixels).min(per_thread).max(1);
    let image_in = shape.sources * shape.size[0] * shape.size[1];
    let width = 3 * level.lanes();
    let steps = shape.steps(width);
    let tiles = (PANEL / (shape.sources * width)).clamp(1, TILES);
    let sizes = operands
        .iter()
        .map(|part| images * part.shape.targets * pixels);
    let tasks = by_images(source, images * image_in, sizes.zip(outs));
    tasks
        .into_par_iter()
        .for_each_init(Vec::new, |panel, (source, mut outs)| {
            panel.resize(tiles * shape.sources * width, 0.0);
            let total = source.len() / image_in * pixels;
            for start in (0..total).step_by(tiles * width) {
                level.run(Group {
                    shape,
                    source,
                    parts: &operands,
                    steps: &steps,
                    panel,
                    start,
                    len: (tiles * width).min(total - start),
                    outs: &mut outs,
                });
            }
        });
}

impl Pointwise {
    /// Where the vector of the pixels from `start` goes in the first target channel, if there are so many.
    #[inline(always)]
    fn target<S: Simd>(&self, start: usize, left: usize) -> Target {
        let len = S::LANES.min(left);
        let mut runs = self.runs(start, len, S::LANES);
        let runs: Vec<Run> = std::iter::from_fn(|| runs.next()).collect();
        match runs.as_slice() {
            [run] if run.len == S::LANES => Target::Whole(self.place(*run)),
            _ => Target::Runs(runs),
        }
    }

    /// The place of the first pixel of a run in the first target channel.
    #[inline(always)]
    fn place(&self, run: Run) -> usize {
        run.image * self.targets * self.pixels() + run.pixel
    }
}

/// Adjacent pixels of one image.
#[derive(Clone, Copy)]
struct Run {
    /// Index of the first one in the group.
    at: usize,
    len: usize,
    image: usize,
    /// Index of the first one in the image.
    pixel: usize,
}

/// Computes all target channels of a group of pixels, in tiles of three vectors.
///
/// The group is as large as its packed pixels fit into a cache: so what is read and written of a
/// channel is long, although a tile is short.
struct Group<'a, 'o> {
    /// What the parts have in common.
    shape: &'a Pointwise,
    source: &'a [f32],
    parts: &'a [Operand<'a, Pointwise>],
    steps: &'a [Step],
    /// The pixels of each tile as `[source channel][pixel]`.
    panel: &'a mut [f32],
    /// The first pixel, and the number of them.
    start: usize,
    len: usize,
    /// Where the targets of each part go.
    outs: &'a mut [&'o mut [MaybeUninit<f32>]],
}

/// Where a vector of pixels goes: to one place, or in several runs.
enum Target {
    Whole(usize),
    Runs(Vec<Run>),
}

impl Kernel for Group<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        self.pack(s);
        let width = 3 * S::LANES;
        let whole = self.len / width;
        for (part, out) in self.parts.iter().zip(&mut *self.outs) {
            let targets: Vec<Target> = (0..self.len)
                .step_by(S::LANES)
                .map(|at| part.shape.target::<S>(self.start + at, self.len - at))
                .collect();
            let mut work = Rows {
                part,
                panel: self.panel,
                steps: self.steps,
                targets: &targets,
                out,
            };
            channels::<S, 3>(s, &mut work, 0..whole);
            match (self.len - whole * width).div_ceil(S::LANES) {
                0 => {}
                1 => channels::<S, 1>(s, &mut work, whole..whole + 1),
                2 => channels::<S, 2>(s, &mut work, whole..whole + 1),
                _ => channels::<S, 3>(s, &mut work, whole..whole + 1),
            }
        }
    }
}

impl Group<'_, '_> {
    #[inline(always)]
    fn pack<S: Simd>(&mut self, s: S) {
        let shape = self.shape;
        let width = 3 * S::LANES;
        let plane = shape.size[0] * shape.size[1];
        for run in shape.runs(self.start, self.len, self.len) {
            let image = &self.source[run.image * shape.sources * plane..];
            for channel in 0..shape.sources {
                let source = &image[channel * plane..(channel + 1) * plane];
                let mut done = 0;
                while done < run.len {
                    let (tile, at) = ((run.at + done) / width, (run.at + done) % width);
                    let len = (width - at).min(run.len - done);
                    let row = (tile * shape.sources + channel) * width + at;
                    let row = &mut self.panel[row..row + len];
                    let pixel = run.pixel + done;
                    done += len;
                    if shape.stride == [1, 1] {
                        s.copy(&source[pixel..pixel + len], row);
                        continue;
                    }
                    for (pixel, place) in (pixel..).zip(row) {
                        let row = pixel / shape.used[1] * shape.stride[0];
                        let column = pixel % shape.used[1] * shape.stride[1];
                        *place = source[row * shape.size[1] + column];
                    }
                }
            }
        }
    }
}

/// The target channels of one part of a group.
struct Rows<'a> {
    part: &'a Operand<'a, Pointwise>,
    panel: &'a [f32],
    steps: &'a [Step],
    /// Where each vector of pixels goes.
    targets: &'a [Target],
    out: &'a mut [MaybeUninit<f32>],
}

/// Computes tiles of `N` vectors.
#[inline(always)]
fn channels<S: Simd, const N: usize>(s: S, work: &mut Rows, tiles: std::ops::Range<usize>) {
    tiled!(S, N, blocks(s, work, tiles));
}

#[inline(always)]
fn blocks<S: Simd, const M: usize, const N: usize>(
    s: S,
    work: &mut Rows,
    tiles: std::ops::Range<usize>,
) {
    let Operand {
        shape,
        weight,
        bias,
    } = *work.part;
    let vector_at: [u32; N] = std::array::from_fn(|j| index(j * S::LANES));
    let pixels = shape.pixels();
    let panel = shape.sources * 3 * S::LANES;
    for first in (0..shape.targets).step_by(M) {
        let count = M.min(shape.targets - first);
        // The last tile is padded with its first channel.
        let spread_at: [u32; M] = std::array::from_fn(|i| {
            if i < count {
                index(i * shape.target_stride)
            } else {
                0
            }
        });
        let matrix = &weight[first * shape.target_stride..];
        for tile in tiles.clone() {
            let mut sums = [[s.splat(0.0); N]; M];
            if let Some(bias) = bias {
                for i in 0..count {
                    sums[i] = [s.splat(bias[first + i]); N];
                }
            }
            product(
                s,
                (matrix, &spread_at),
                (&work.panel[tile * panel..(tile + 1) * panel], &vector_at),
                work.steps,
                &mut sums,
            );
            for (i, vectors) in sums.iter().enumerate().take(count) {
                let channel = (first + i) * pixels;
                for (target, &vector) in work.targets[3 * tile..].iter().zip(vectors) {
                    match target {
                        Target::Whole(place) => s.write(vector, &mut work.out[place + channel..]),
                        Target::Runs(runs) => {
                            let mut values = [0.0; 16];
                            s.store(vector, &mut values);
                            for run in runs {
                                let place = shape.place(*run) + channel;
                                let out = &mut work.out[place..place + run.len];
                                for (out, &value) in out.iter_mut().zip(&values[run.at..]) {
                                    out.write(value);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
