//! Tiles of a product in registers.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;
use std::ops::Range;

use super::Start;
use crate::linear::product::Matrix;
use crate::simd::{Part, Simd};

/// Rows of the left matrix that are packed side by side: a multiple of the height of every tile.
pub(super) const GROUP: usize = 24;

/// Number of values of a cache line.
const LINE: usize = 16;

/// Steps in advance that the strip is fetched into the first-level cache, which is smaller.
const NEAR: usize = 16;

/// Some rows of the left matrix, in place or packed.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) values: &'a [f32],
    /// Number of rows per group, and distance between groups.
    pub(super) group: usize,
    pub(super) group_stride: usize,
    /// Distance between the rows of a group.
    pub(super) row_stride: usize,
    /// Distance between the values of a row.
    pub(super) step_stride: usize,
}

/// The tiles of one strip of columns.
pub(super) struct Tiles<'a, 'o, 'r> {
    pub(super) left: Left<'a>,
    /// `[step][lane]`
    pub(super) strip: &'a [f32],
    pub(super) steps: usize,
    pub(super) start: Start<'a>,
    pub(super) columns: Range<usize>,
    pub(super) out: &'a mut [&'o mut [MaybeUninit<f32>]],
    pub(super) ahead: &'a mut Ahead<'r>,
}

/// What is read next, a part of it per tile.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a> {
    values: &'a [f32],
    /// Number of values per tile.
    share: usize,
}

impl<'a> Ahead<'a> {
    /// The rows of the right matrix from `next` on. With few rows on the left, the time of a product is that
    /// of reading the right matrix, which is then fetched into the second-level cache while the rows
    /// before it are computed with.
    pub(super) fn new(right: Matrix<'a>, next: Range<usize>, tiles: usize) -> Self {
        let columns = 0..right.columns();
        let (values, strides) = right.part(&next, &columns);
        // Whole rows are adjacent.
        let len = if strides == [columns.len(), 1] {
            next.len() * columns.len()
        } else {
            0
        };
        Self {
            values: values.get(..len).unwrap_or_default(),
            share: len.div_ceil(tiles.max(1)),
        }
    }

    /// The part that is fetched with the next tile.
    fn next(&mut self) -> &'a [f32] {
        let (part, rest) = self.values.split_at(self.share.min(self.values.len()));
        self.values = rest;
        part
    }
}

/// Computes the tiles of one strip, of `M` rows and `N` vectors each.
#[inline(always)]
pub(super) fn tiles<S: Simd, const M: usize, const N: usize>(s: S, work: &mut Tiles) {
    let len = work.columns.len();
    let mut bias = [s.splat(0.0); N];
    if let Start::Row(row) = work.start {
        bias = loaded(s, &row[work.columns.clone()]);
    }
    for first in (0..work.out.len()).step_by(M) {
        let count = M.min(work.out.len() - first);
        let mut tile = [bias; M];
        if let Start::Written = work.start {
            for (vectors, out) in tile.iter_mut().zip(&work.out[first..first + count]) {
                let place = &out[work.columns.clone()];
                // SAFETY: an earlier round, or the caller, has written the whole result.
                #[allow(unsafe_code)]
                let written = unsafe { place.assume_init_ref() };
                *vectors = loaded(s, written);
            }
        }
        let left = work.left;
        let base = first / left.group * left.group_stride + first % left.group * left.row_stride;
        // The last tile is filled up with its first row.
        let row = |i: usize| base + if i < count { i * left.row_stride } else { 0 };
        multiply(
            s,
            Sums {
                left: left.values,
                rows: std::array::from_fn(row),
                stride: left.step_stride,
                strip: work.strip,
                steps: work.steps,
                ahead: work.ahead.next(),
                tile: &mut tile,
            },
        );
        for (vectors, out) in tile.iter().zip(&mut work.out[first..first + count]) {
            let place = &mut out[work.columns.clone()];
            for (j, &vector) in vectors.iter().enumerate() {
                let from = j * S::LANES;
                if from + S::LANES <= len {
                    s.write(vector, &mut place[from..]);
                } else if from < len {
                    let mut all = [0.0; 16];
                    s.store(vector, &mut all);
                    place[from..].write_copy_of_slice(&all[..len - from]);
                }
            }
        }
    }
}

/// A slice as vectors; lanes beyond its end are 0.
#[inline(always)]
fn loaded<S: Simd, const N: usize>(s: S, values: &[f32]) -> [S::V; N] {
    let mut vectors = [s.splat(0.0); N];
    for (j, vector) in vectors.iter_mut().enumerate() {
        let from = (j * S::LANES).min(values.len());
        let values = &values[from..];
        *vector = if values.len() >= S::LANES {
            s.load(values)
        } else {
            s.load_part(values)
        };
    }
    vectors
}

/// Checks that all that the sums read is there, and adds to the tile.
#[inline(always)]
fn multiply<S: Simd, const M: usize, const N: usize>(s: S, sums: Sums<S, M, N>) {
    if sums.steps == 0 {
        return;
    }
    let reach = sums.rows.iter().fold(0, |most, row| most.max(*row));
    assert!(reach + (sums.steps - 1) * sums.stride < sums.left.len());
    assert!(sums.strip.len() >= sums.steps * N * S::LANES);
    s.apart(sums);
}

/// `tile[i] += Σ_step left[rows[i] + step · stride] · strip[step]`.
struct Sums<'a, S: Simd, const M: usize, const N: usize> {
    left: &'a [f32],
    rows: [usize; M],
    stride: usize,
    strip: &'a [f32],
    steps: usize,
    ahead: &'a [f32],
    tile: &'a mut [[S::V; N]; M],
}

impl<S: Simd, const M: usize, const N: usize> Part<S> for Sums<'_, S, M, N> {
    #[allow(unsafe_code, reason = "bounds are checked once, before the loop")]
    #[inline(always)]
    fn run(self, s: S) {
        // Copies, because values behind a reference would be read again after each `pin`.
        let (rows, stride) = (self.rows, self.stride);
        let mut sums = *self.tile;
        let mut line = 0;
        for step in 0..self.steps {
            // A line every other step.
            if step % 2 == 0 && line < self.ahead.len() {
                s.prefetch_far(self.ahead, line);
                line += LINE;
            }
            // SAFETY: `multiply` has checked the last step of the last row, and the last vector of the
            // strip.
            let (left, strip) = unsafe {
                (
                    self.left.get_unchecked(step * stride..),
                    self.strip.get_unchecked(step * N * S::LANES..),
                )
            };
            for j in 0..N {
                s.prefetch(strip, (NEAR * N + j) * S::LANES);
            }
            let mut vectors = [s.splat(0.0); N];
            for (j, vector) in vectors.iter_mut().enumerate() {
                let at = j * S::LANES;
                // SAFETY: as above.
                *vector = s.load(unsafe { strip.get_unchecked(at..at + S::LANES) });
            }
            for i in 0..M {
                // SAFETY: as above.
                let value = s.splat(unsafe { *left.get_unchecked(rows[i]) });
                for j in 0..N {
                    sums[i][j] = s.pin(s.mul_add(value, vectors[j], sums[i][j]));
                }
            }
        }
        *self.tile = sums;
    }
}
