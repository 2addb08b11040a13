//! Antialiased resizing of 8-bit RGB images, equal to Pillow's to the bit.
//!
//! This is `src/libImaging/Resample.c` of Pillow: a horizontal pass, rounded to bytes, then a vertical
//! pass. The weights of each output pixel are computed in `f64`, normalised and rounded to fixed
//! point. Models that were pretrained with torchvision or timm have seen images resized this way; the
//! crates for resizing differ by a level in some pixels, which is enough to change the answer if two
//! classes are nearly tied.
//!
//! Sums of integers do not depend on their order, so the passes are vectorised: `macerator` compiles
//! them for several instruction sets, such as AVX2, and chooses one at run time. Only the rows and
//! columns that are asked for are computed.

use std::ops::Range;

use macerator::{Simd, with_simd};
use serde::{Deserialize, Serialize};

use super::raster::View;

/// Fractional bits of a weight: 8 bits of a pixel and 2 spare bits fit beside them into an `i32`.
const PRECISION: u32 = 32 - 8 - 2;

/// How a resized pixel is computed from its surroundings, antialiased as in PIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle.
    #[default]
    Bilinear,
    /// Catmull–Rom.
    Bicubic,
}

/// Resizes an image to `[height, width]`; returns its bytes, `[height, width, 3]`.
pub(crate) fn resize(from: View<'_>, to: [usize; 2], filter: Filter) -> Vec<u8> {
    resize_part(from, to, [0..to[0], 0..to[1]], filter)
}

/// Resizes an image to `[new_height, new_width]` and returns the bytes of some rows and columns of it.
pub(crate) fn resize_part(
    from: View<'_>,
    [new_height, new_width]: [usize; 2],
    [rows, columns]: [Range<usize>; 2],
    filter: Filter,
) -> Vec<u8> {
    // As in Pillow, a side whose length does not change is not filtered.
    let vertical = (new_height != from.height())
        .then(|| windows(from.height(), new_height, rows.clone(), filter));
    let needed = match &vertical {
        Some(windows) => {
            let end = windows.iter().map(|window| window.range().end).max();
            windows.first().map_or(0, |first| first.start)..end.unwrap_or(0)
        }
        None => rows,
    };
    let width = columns.len();
    let middle = if new_width == from.width() {
        let view = from.crop([needed.start, columns.start], [needed.len(), width]);
        view.to_vec()
    } else {
        let windows = windows(from.width(), new_width, columns, filter);
        horizontal(from, needed.clone(), &windows)
    };
    match vertical {
        Some(windows) => self::vertical(&middle, width, needed.start, &windows),
        None => middle,
    }
}

/// The input pixels that contribute to one output pixel, and their weights.
struct Window {
    start: usize,
    weights: Vec<i32>,
}

impl Window {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.weights.len()
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn windows(from: usize, to: usize, part: Range<usize>, filter: Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // Antialiasing: the filter is stretched over the input pixels that one output pixel covers.
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let window = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        let start = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weights: Vec<f64> = (start..end)
            .map(|x| filter.weight((x as f64 - center + 0.5) / stretch))
            .collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let weight = weight / sum * f64::from(1_u32 << PRECISION);
            (weight + 0.5_f64.copysign(weight)) as i32
        };
        Window {
            start,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    part.map(window).collect()
}

impl Filter {
    /// Radius beyond which the filter is 0.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            // Keys' cubic with a = -1/2.
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// A byte from a fixed-point sum that includes the half for rounding.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// One half in fixed point.
const HALF: i32 = 1 << (PRECISION - 1);

/// Pixels that are summed at the same time: with three channels, a multiple of 4 and 8 values.
const LANES: usize = 8;

/// Windows of the same number of pixels, a multiple of `LANES`, with each weight once per channel.
struct Padded {
    starts: Vec<usize>,
    /// Number of weights per window.
    length: usize,
    weights: Vec<i32>,
}

impl Padded {
    /// `None` if a row of `width` pixels is shorter than such a window.
    fn new(windows: &[Window], width: usize) -> Option<Self> {
        let longest = windows.iter().map(|window| window.weights.len()).max()?;
        let pixels = longest.next_multiple_of(LANES);
        if pixels > width {
            return None;
        }
        let length = pixels * 3;
        let mut weights = vec![0; windows.len() * length];
        let mut starts = Vec::with_capacity(windows.len());
        for (window, to) in windows.iter().zip(weights.chunks_exact_mut(length)) {
            // A window that would end beyond the row is moved to the left; added pixels weigh 0.
            let start = window.start.min(width - pixels);
            let before = (window.start - start) * 3;
            for (to, weight) in to[before..].chunks_exact_mut(3).zip(&window.weights) {
                to.fill(*weight);
            }
            starts.push(start);
        }
        Some(Self {
            starts,
            length,
            weights,
        })
    }
}

/// The horizontal pass: rows of the image, each with one pixel per window.
fn horizontal(from: View<'_>, rows: Range<usize>, windows: &[Window]) -> Vec<u8> {
    let length = windows.len() * 3;
    let mut to = vec![0; rows.len() * length];
    if let Some(padded) = Padded::new(windows, from.width()) {
        sum_padded(from, rows.start, &padded, &mut to);
    } else {
        for (row, to) in rows.zip(to.chunks_exact_mut(length.max(1))) {
            sum_each(from.row(row), windows, to);
        }
    }
    to
}

/// The horizontal pass over the rows from `first` on, as many as `to` has.
#[with_simd]
#[allow(
    clippy::elidable_lifetime_names,
    clippy::extra_unused_type_parameters,
    clippy::inline_always
)]
fn sum_padded<'a, S: Simd>(from: View<'a>, first: usize, windows: &Padded, to: &mut [u8]) {
    const ALL: usize = LANES * 3;
    for (row, to) in to.chunks_exact_mut(windows.starts.len() * 3).enumerate() {
        let row = from.row(first + row);
        let weights = windows.weights.chunks_exact(windows.length);
        let to = to.as_chunks_mut::<3>().0;
        for ((start, weights), to) in windows.starts.iter().zip(weights).zip(to) {
            let pixels = row[start * 3..][..windows.length].as_chunks::<ALL>().0;
            let mut sums = [0_i32; ALL];
            for (pixels, weights) in pixels.iter().zip(weights.as_chunks::<ALL>().0) {
                for lane in 0..ALL {
                    let product = i32::from(pixels[lane]).wrapping_mul(weights[lane]);
                    sums[lane] = sums[lane].wrapping_add(product);
                }
            }
            for channel in 0..3 {
                let lanes = (0..LANES).map(|lane| sums[lane * 3 + channel]);
                to[channel] = byte(lanes.fold(HALF, i32::wrapping_add));
            }
        }
    }
}

/// The horizontal pass over one row of the image.
fn sum_each(row: &[u8], windows: &[Window], to: &mut [u8]) {
    let (row, _) = row.as_chunks::<3>();
    for (window, to) in windows.iter().zip(to.as_chunks_mut::<3>().0) {
        let mut sums = [HALF; 3];
        for (pixel, weight) in row[window.range()].iter().zip(&window.weights) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*value) * weight;
            }
        }
        *to = sums.map(byte);
    }
}

/// The vertical pass: one row per window. The first row of `pixels` is row `first` of the image.
fn vertical(pixels: &[u8], width: usize, first: usize, windows: &[Window]) -> Vec<u8> {
    let mut to = vec![0; width * 3 * windows.len()];
    sum_rows(pixels, width * 3, first, windows, &mut to);
    to
}

#[with_simd]
#[allow(clippy::extra_unused_type_parameters, clippy::inline_always)]
fn sum_rows<S: Simd>(
    pixels: &[u8],
    length: usize,
    first: usize,
    windows: &[Window],
    to: &mut [u8],
) {
    let mut sums = vec![0; length];
    for (window, to) in windows.iter().zip(to.chunks_exact_mut(length.max(1))) {
        sums.fill(HALF);
        for (y, weight) in window.range().zip(&window.weights) {
            let row = &pixels[(y - first) * length..][..length];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (to, sum) in to.iter_mut().zip(&sums) {
            *to = byte(*sum);
        }
    }
}
