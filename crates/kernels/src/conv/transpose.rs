//! Transposing matrices.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::simd::{Kernel, Simd};

/// Memory that values can be written to, initialised or not.
pub(crate) trait Target {
    /// Writes the first `count` lanes of a vector, starting at index `at`.
    fn put<S: Simd>(&mut self, s: S, at: usize, vector: S::V, count: usize);
    /// The places of a range.
    fn part(&mut self, range: Range<usize>) -> &mut Self;
}

impl Target for [f32] {
    #[inline(always)]
    fn put<S: Simd>(&mut self, s: S, at: usize, vector: S::V, count: usize) {
        if count == S::LANES {
            s.store(vector, &mut self[at..]);
        } else {
            s.store_part(vector, &mut self[at..at + count]);
        }
    }
    #[inline(always)]
    fn part(&mut self, range: Range<usize>) -> &mut Self {
        &mut self[range]
    }
}

impl Target for [MaybeUninit<f32>] {
    #[inline(always)]
    fn put<S: Simd>(&mut self, s: S, at: usize, vector: S::V, count: usize) {
        if count == S::LANES {
            s.write(vector, &mut self[at..]);
            return;
        }
        let mut all = [0.0; 16];
        s.store(vector, &mut all);
        for (place, value) in self[at..at + count].iter_mut().zip(all) {
            place.write(value);
        }
    }
    #[inline(always)]
    fn part(&mut self, range: Range<usize>) -> &mut Self {
        &mut self[range]
    }
}

/// `out[column · out_stride + row] = source[row · stride + column]`.
pub(crate) struct Transpose<'a, T: Target + ?Sized> {
    pub(crate) source: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Distance between rows of the source.
    pub(crate) stride: usize,
    pub(crate) out: &'a mut T,
    /// Distance between rows of the result, which are columns of the source.
    pub(crate) out_stride: usize,
    /// Distance to the values that are prefetched; 0 for no prefetching.
    pub(crate) ahead: usize,
}

impl<T: Target + ?Sized> Kernel for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for square in (0..self.rows).step_by(S::LANES) {
            // The last square overlaps the one before it, if there is one.
            let row = square.min(self.rows.saturating_sub(S::LANES));
            let height = S::LANES.min(self.rows - row);
            for column in (0..self.columns).step_by(S::LANES) {
                let width = S::LANES.min(self.columns - column);
                let mut vectors = [s.splat(0.0); 16];
                for (i, vector) in vectors.iter_mut().enumerate().take(height) {
                    if self.ahead > 0 {
                        let at = (row + i) * self.stride + column + self.ahead;
                        s.prefetch(self.source, at);
                    }
                    // Values read beyond the last column are not written.
                    let from = &self.source[(row + i) * self.stride + column..];
                    *vector = if from.len() >= S::LANES {
                        s.load(from)
                    } else {
                        s.load_part(from)
                    };
                }
                s.transpose(&mut vectors);
                for (i, &vector) in vectors.iter().enumerate().take(width) {
                    let at = (column + i) * self.out_stride + row;
                    self.out.put(s, at, vector, height);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Transpose;
    use crate::simd::Level;

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn every_element_is_transposed_and_nothing_else_is_written() {
        let source: Vec<f32> = (0..40 * 50).map(|i| i as f32).collect();
        for level in Level::all() {
            for (rows, columns) in [
                (1, 1),
                (3, 40),
                (8, 8),
                (16, 16),
                (17, 5),
                (33, 37),
                (40, 50),
            ] {
                let mut out = vec![-1.0; 50 * 45];
                level.run(Transpose {
                    source: &source,
                    rows,
                    columns,
                    stride: 50,
                    out: &mut out[..],
                    out_stride: 45,
                    ahead: 3,
                });
                for (at, &value) in out.iter().enumerate() {
                    let (column, row) = (at / 45, at % 45);
                    let inside = row < rows && column < columns;
                    let expected = if inside {
                        source[row * 50 + column]
                    } else {
                        -1.0
                    };
                    assert_eq!(value.to_bits(), expected.to_bits());
                }
            }
        }
    }
}
