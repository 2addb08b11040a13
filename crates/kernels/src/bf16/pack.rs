//! Rounding to bfloat16, and operands as tiles.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::cell::Cell;

use super::unit::{INNER, TILE};
use crate::linear::product::Matrix;
use crate::simd::{Kernel, Simd};

/// Number of words (pairs of values) of a tile.
pub(super) const WORDS: usize = TILE * INNER / 2;

/// The bits of a value rounded to bfloat16, in the upper half; the lower half is of no meaning.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    // Rounding could make a NaN infinite: it is made quiet instead.
    if value.is_nan() {
        bits | 0x0040_0000
    } else {
        bits + (0x7fff + (bits >> 16 & 1))
    }
}

/// A value rounded to bfloat16.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "16 bits are left")]
pub(super) fn half(value: f32) -> u16 {
    (rounded(value) >> 16) as u16
}

/// Two values rounded to bfloat16, the first in the lower half.
#[inline(always)]
pub(super) fn pair(first: f32, second: f32) -> u32 {
    rounded(first) >> 16 | rounded(second) & 0xffff_0000
}

/// Memory for packed operands, which a thread reuses.
pub(super) struct Scratch(Vec<u32>);

thread_local! {
    static KEPT: Cell<[Vec<u32>; 3]> = const { Cell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

impl Scratch {
    /// At least `len` words with any values.
    pub(super) fn new(len: usize) -> Self {
        let mut kept = KEPT.take();
        let mut words = std::mem::take(&mut kept[0]);
        kept.rotate_left(1);
        KEPT.set(kept);
        if words.len() < len {
            words.resize(len, 0);
        }
        Self(words)
    }

    pub(super) fn words(&mut self) -> &mut [u32] {
        &mut self.0
    }

    /// The same as `f32`.
    pub(super) fn floats(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// The same as single values.
    pub(super) fn halves(&self) -> &[u16] {
        bytemuck::cast_slice(&self.0)
    }

    pub(super) fn halves_mut(&mut self) -> &mut [u16] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut kept = KEPT.take();
        kept.rotate_right(1);
        kept[0] = std::mem::take(&mut self.0);
        KEPT.set(kept);
    }
}

/// In which order the tiles of a matrix `[outer, inner]` are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `[outer][inner]`: the left operand.
    Left,
    /// `[pair of the inner size][outer][2]`: the right operand.
    Right,
}

/// Packs 16 rows of a matrix `[outer, inner]` as `[step][tile]`; what is missing is 0.
pub(super) struct Strip<'a> {
    pub(super) matrix: Matrix<'a>,
    pub(super) form: Form,
    pub(super) out: &'a mut [u32],
}

impl Kernel for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (outer, inner) = (self.matrix.rows(), self.matrix.columns());
        let (values, [down, right]) = self.matrix.part(&(0..outer), &(0..inner));
        let by_rows = right == 1;
        // The tile as it is read, if it must be transposed.
        let mut read = [0; WORDS];
        let transposes = by_rows != (self.form == Form::Left);
        for (step, tile) in self.out.chunks_exact_mut(WORDS).enumerate() {
            let first = step * INNER;
            let len = INNER.min(inner - first);
            let target = if transposes {
                &mut read[..]
            } else {
                &mut *tile
            };
            if by_rows {
                for (row, out) in target.chunks_exact_mut(TILE).enumerate() {
                    if row < outer {
                        pairs_in_row(&values[row * down + first..][..len], out);
                    } else {
                        out.fill(0);
                    }
                }
            } else {
                let line = |at: usize| {
                    let from = values.get((first + at) * right..).filter(|_| at < len);
                    from.map_or(&[][..], |from| &from[..outer])
                };
                for (pair, out) in target.chunks_exact_mut(TILE).enumerate() {
                    pairs_of_rows(line(2 * pair), line(2 * pair + 1), out);
                }
            }
            if transposes {
                transpose(s, &read, tile);
            }
        }
    }
}

/// Pairs of adjacent values of up to 32; the rest is 0.
#[inline(always)]
pub(super) fn pairs_in_row(values: &[f32], out: &mut [u32]) {
    let out: &mut [u32; TILE] = out.try_into().expect("a row of a tile");
    let mut all = [0.0; INNER];
    let values = if let Some(values) = values.first_chunk() {
        values
    } else {
        all[..values.len()].copy_from_slice(values);
        &all
    };
    for (word, values) in out.iter_mut().zip(values.as_chunks::<2>().0) {
        *word = pair(values[0], values[1]);
    }
}

/// Pairs of the values of two rows of up to 16; the rest is 0.
#[inline(always)]
fn pairs_of_rows(first: &[f32], second: &[f32], out: &mut [u32]) {
    let out: &mut [u32; TILE] = out.try_into().expect("a row of a tile");
    let mut all = [[0.0; TILE]; 2];
    if first.len() == TILE && second.len() == TILE {
        for ((word, &first), &second) in out.iter_mut().zip(first).zip(second) {
            *word = pair(first, second);
        }
        return;
    }
    all[0][..first.len()].copy_from_slice(first);
    all[1][..second.len()].copy_from_slice(second);
    for (at, word) in out.iter_mut().enumerate() {
        *word = pair(all[0][at], all[1][at]);
    }
}

/// Transposes a tile of words.
#[inline(always)]
pub(super) fn transpose<S: Simd>(s: S, from: &[u32; WORDS], to: &mut [u32]) {
    let from: &[f32] = bytemuck::cast_slice(from);
    let to: &mut [f32] = bytemuck::cast_slice_mut(to);
    for row in (0..TILE).step_by(S::LANES) {
        for column in (0..TILE).step_by(S::LANES) {
            let mut square = [s.splat(0.0); 16];
            for (i, vector) in square.iter_mut().enumerate().take(S::LANES) {
                *vector = s.load(&from[(row + i) * TILE + column..]);
            }
            s.transpose(&mut square);
            for (i, vector) in square.iter().enumerate().take(S::LANES) {
                s.store(*vector, &mut to[(column + i) * TILE + row..]);
            }
        }
    }
}
