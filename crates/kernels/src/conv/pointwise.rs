//! `1 × 1` convolutions: the channels of every pixel times a matrix, without rearranging the
//! images.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::product::{Step, index, product, tiled};
use crate::simd::{Kernel, Level, Simd};

/// Minimum number of pixels per task, so that reading the matrix pays off.
const PIXELS: usize = 192;

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

    /// Computes the product; writes all of `out`, `[batch, targets, rows read, columns read]`.
    pub(crate) fn run(
        &self,
        level: Level,
        source: &[f32],
        matrix: &[f32],
        bias: Option<&[f32]>,
        out: &mut [MaybeUninit<f32>],
    ) {
        let pixels = self.used[0] * self.used[1];
        let share = self.batch.div_ceil(rayon::current_num_threads());
        let images = PIXELS.div_ceil(pixels).min(share).max(1);
        let image_in = self.sources * self.size[0] * self.size[1];
        let steps = self.steps(3 * level.lanes());
        out.par_chunks_mut(images * self.targets * pixels)
            .zip(source.par_chunks(images * image_in))
            .for_each_init(Vec::new, |panel, (out, source)| {
                self.images(level, source, (matrix, bias), &steps, panel, out);
            });
    }

    fn steps(&self, width: usize) -> Vec<Step> {
        (0..self.sources)
            .map(|source| Step {
                spread: index(source * self.source_stride),
                vector: index(source * width),
            })
            .collect()
    }

    /// Computes some images, in tiles of pixels that may span two images.
    fn images(
        &self,
        level: Level,
        source: &[f32],
        (matrix, bias): (&[f32], Option<&[f32]>),
        steps: &[Step],
        panel: &mut Vec<f32>,
        out: &mut [MaybeUninit<f32>],
    ) {
        let pixels = self.used[0] * self.used[1];
        let total = out.len() / self.targets;
        let width = 3 * level.lanes();
        panel.resize(self.sources * width, 0.0);
        let mut runs = Vec::new();
        for start in (0..total).step_by(width) {
            let len = width.min(total - start);
            runs.clear();
            let mut at = 0;
            while at < len {
                let (image, pixel) = ((start + at) / pixels, (start + at) % pixels);
                let run = Run {
                    at,
                    len: (pixels - pixel).min(len - at),
                    image,
                    pixel,
                };
                at += run.len;
                runs.push(run);
            }
            self.pack(source, &runs, width, panel);
            level.run(Tile {
                shape: self,
                matrix,
                bias,
                panel,
                steps,
                len,
                runs: &runs,
                pixels,
                out,
            });
        }
    }

    /// Packs the pixels of a tile as `[source channel][pixel]`.
    fn pack(&self, source: &[f32], runs: &[Run], width: usize, panel: &mut [f32]) {
        let plane = self.size[0] * self.size[1];
        for run in runs {
            let image = &source[run.image * self.sources * plane..];
            for (channel, panel) in panel.chunks_exact_mut(width).enumerate() {
                let channel = &image[channel * plane..(channel + 1) * plane];
                let panel = &mut panel[run.at..run.at + run.len];
                if self.stride == [1, 1] {
                    panel.copy_from_slice(&channel[run.pixel..run.pixel + run.len]);
                    continue;
                }
                for (pixel, place) in (run.pixel..).zip(panel) {
                    let row = pixel / self.used[1] * self.stride[0];
                    let column = pixel % self.used[1] * self.stride[1];
                    *place = channel[row * self.size[1] + column];
                }
            }
        }
    }
}

/// Adjacent pixels of a tile in one image.
struct Run {
    /// Index of the first one in the tile.
    at: usize,
    len: usize,
    image: usize,
    /// Index of the first one in the image.
    pixel: usize,
}

/// Computes all target channels of a tile of pixels.
struct Tile<'a> {
    shape: &'a Pointwise,
    matrix: &'a [f32],
    bias: Option<&'a [f32]>,
    panel: &'a [f32],
    steps: &'a [Step],
    /// Number of pixels in the tile.
    len: usize,
    runs: &'a [Run],
    /// Number of pixels of an image.
    pixels: usize,
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        tiled!(S, self.len.div_ceil(S::LANES), channels(s, &mut self));
    }
}

#[inline(always)]
fn channels<S: Simd, const M: usize, const N: usize>(s: S, work: &mut Tile) {
    let shape = work.shape;
    let vector_at: [u32; N] = std::array::from_fn(|j| index(j * S::LANES));
    // A whole tile in one image needs no packing.
    let whole = work.runs.len() == 1 && work.len == N * S::LANES;
    let plane = work.pixels;
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
        let mut tile = [[s.splat(0.0); N]; M];
        if let Some(bias) = work.bias {
            for i in 0..count {
                tile[i] = [s.splat(bias[first + i]); N];
            }
        }
        let matrix = &work.matrix[first * shape.target_stride..];
        product(
            s,
            (matrix, &spread_at),
            (work.panel, &vector_at),
            work.steps,
            &mut tile,
        );
        for (i, vectors) in tile.iter().enumerate().take(count) {
            let channel = first + i;
            if whole {
                let run = &work.runs[0];
                let start = (run.image * shape.targets + channel) * plane + run.pixel;
                for (j, &vector) in vectors.iter().enumerate() {
                    s.write(vector, &mut work.out[start + j * S::LANES..]);
                }
                continue;
            }
            let mut row = [0.0; 48];
            for (j, &vector) in vectors.iter().enumerate() {
                s.store(vector, &mut row[j * S::LANES..]);
            }
            for run in work.runs {
                let start = (run.image * shape.targets + channel) * plane + run.pixel;
                let out = &mut work.out[start..start + run.len];
                for (out, &value) in out.iter_mut().zip(&row[run.at..run.at + run.len]) {
                    out.write(value);
                }
            }
        }
    }
}
