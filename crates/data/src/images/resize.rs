//! Antialiased resizing of 8-bit RGB, equal to Pillow's to the bit.
//!
//! `Pillow`'s `src/libImaging/Resample.c`: a horizontal pass, rounded to bytes, then a vertical
//! one; the weights of each output pixel are computed in f64, normalised and rounded to fixed
//! point. Models pretrained with torchvision or timm saw images made this way. The resizing
//! crates differ from it by a level here and there, enough to turn near ties between classes.
//!
//! Sums of integers are the same in any order, so the passes are written for vector units:
//! `macerator` compiles them for AVX2 and others as well and chooses when the program runs. Rows
//! and columns that nobody asks for are left out.

use std::ops::Range;

use macerator::{Simd, with_simd};

use crate::images::prepare::Filter;

/// Bits after the point of a weight: an accumulator of 32 bits holds a byte's worth of them.
const PRECISION: u32 = 32 - 8 - 2;

/// A rectangle of pixels inside an RGB image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The image's bytes, `[rows, stride, 3]`.
    pixels: &'a [u8],
    /// Width of the image, pixels.
    stride: usize,
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl<'a> View<'a> {
    /// A whole image of `[height, width]`.
    pub(crate) fn new(pixels: &'a [u8], [height, width]: [usize; 2]) -> Self {
        Self {
            pixels,
            stride: width,
            top: 0,
            left: 0,
            height,
            width,
        }
    }

    /// The rectangle of `[height, width]` at `[top, left]` of this one.
    pub(crate) fn crop(self, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Self {
        Self {
            top: self.top + top,
            left: self.left + left,
            height,
            width,
            ..self
        }
    }

    fn row(&self, row: usize) -> &'a [u8] {
        &self.pixels[((self.top + row) * self.stride + self.left) * 3..][..self.width * 3]
    }

    /// Its bytes, `[height, width, 3]`.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        (0..self.height)
            .flat_map(|row| self.row(row))
            .copied()
            .collect()
    }
}

/// An image at another size, `[height, width]`.
pub(crate) fn resize(from: View<'_>, to: [usize; 2], filter: Filter) -> Vec<u8> {
    resize_part(from, to, [0..to[0], 0..to[1]], filter)
}

/// The rows and columns `part` of an image at another size.
pub(crate) fn resize_part(
    from: View<'_>,
    [new_height, new_width]: [usize; 2],
    [rows, columns]: [Range<usize>; 2],
    filter: Filter,
) -> Vec<u8> {
    // As in Pillow, a side that keeps its length is not filtered.
    let vertical =
        (new_height != from.height).then(|| windows(from.height, new_height, rows.clone(), filter));
    let needed = match &vertical {
        Some(windows) => {
            let end = windows.iter().map(|window| window.range().end).max();
            windows.first().map_or(0, |first| first.start)..end.unwrap_or(0)
        }
        None => rows,
    };
    let width = columns.len();
    let middle = if new_width == from.width {
        let view = from.crop([needed.start, columns.start], [needed.len(), width]);
        view.to_vec()
    } else {
        let windows = windows(from.width, new_width, columns, filter);
        horizontal(from, needed.clone(), &windows)
    };
    match vertical {
        Some(windows) => self::vertical(&middle, width, needed.start, &windows),
        None => middle,
    }
}

/// The input pixels that one output pixel is put together from, and their weights.
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
    // Antialiasing: the filter is stretched over what one output pixel covers.
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
    /// Radius outside of which the filter is 0.
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

/// A byte from the fixed-point sum, clamped; the half to round up is in it already.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

/// Pixels that are summed side by side: with three channels, whole vectors of 4 or 8 values.
const LANES: usize = 8;

/// The windows with as many weights each, a multiple of `LANES`, every weight once a channel.
struct Padded {
    starts: Vec<usize>,
    /// Weights of a window.
    length: usize,
    weights: Vec<i32>,
}

impl Padded {
    /// `None` where a row of `width` pixels is shorter than that.
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
            // Moved to the left where it would go beyond the row; what is more has weight 0.
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

fn horizontal(from: View<'_>, rows: Range<usize>, windows: &[Window]) -> Vec<u8> {
    let length = windows.len() * 3;
    let mut to = vec![0; rows.len() * length];
    if let Some(padded) = Padded::new(windows, from.width) {
        sum_padded(from, rows.start, &padded, &mut to);
    } else {
        for (row, to) in rows.zip(to.chunks_exact_mut(length.max(1))) {
            sum_each(from.row(row), windows, to);
        }
    }
    to
}

/// The rows from `first` on, as many as `to` takes.
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

/// `pixels` begin with row `first`.
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
