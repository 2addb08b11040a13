//! Antialiased resizing of 8-bit RGB, equal to Pillow's to the bit.
//!
//! `Pillow`'s `src/libImaging/Resample.c`: a horizontal pass, rounded to bytes, then a vertical
//! one; the weights of each output pixel are computed in f64, normalised and rounded to fixed
//! point. Models pretrained with torchvision or timm saw images made this way. The resizing
//! crates differ from it by a level here and there, enough to turn near ties between classes.

use std::ops::Range;

use crate::decode::Filter;

/// Bits after the point of a weight: an accumulator of 32 bits holds a byte's worth of them.
const PRECISION: u32 = 32 - 8 - 2;

/// An image of `[height, width, 3]` bytes at another size, `[height, width]`.
///
/// # Panics
///
/// Where `pixels` has fewer bytes than `from` says.
pub(crate) fn resize(pixels: &[u8], from: [usize; 2], to: [usize; 2], filter: Filter) -> Vec<u8> {
    let [height, width] = from;
    let [new_height, new_width] = to;
    let mut result = pixels[..height * width * 3].to_vec();
    if new_width != width {
        result = horizontal(&result, width, &windows(width, new_width, filter));
    }
    if new_height != height {
        result = vertical(&result, new_width, &windows(height, new_height, filter));
    }
    result
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
fn windows(from: usize, to: usize, filter: Filter) -> Vec<Window> {
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
    (0..to).map(window).collect()
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
fn byte(sum: i32) -> u8 {
    u8::try_from((sum >> PRECISION).clamp(0, 255)).unwrap_or(u8::MAX)
}

const HALF: i32 = 1 << (PRECISION - 1);

fn horizontal(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut to = Vec::with_capacity(pixels.len() / width.max(1) * windows.len());
    for row in pixels.chunks_exact(width * 3) {
        let (row, _) = row.as_chunks::<3>();
        for window in windows {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[window.range()].iter().zip(&window.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            to.extend(sums.map(byte));
        }
    }
    to
}

fn vertical(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let length = width * 3;
    let mut to = Vec::with_capacity(length * windows.len());
    let mut sums = vec![0; length];
    for window in windows {
        sums.fill(HALF);
        for (y, weight) in window.range().zip(&window.weights) {
            for (sum, value) in sums.iter_mut().zip(&pixels[y * length..][..length]) {
                *sum += i32::from(*value) * weight;
            }
        }
        to.extend(sums.iter().map(|sum| byte(*sum)));
    }
    to
}
