//! One bit per value: whether the activation passes its gradient on.
//!
//! 512 values share 16 words: value `16·j + i` is bit `j` of word `i`, so that 16 adjacent values
//! are 16 lanes of a vector.

#![allow(clippy::inline_always)] // so that they are compiled for the instruction set

use super::activation::Curve;

/// Number of values in 16 words.
const BLOCK: usize = 512;

/// The number of words for a number of values.
pub(super) fn words(values: usize) -> usize {
    values.div_ceil(BLOCK) * 16
}

/// Records the bits from the values before the activation.
#[inline(always)]
pub(super) fn pack<C: Curve>(values: &[f32], words: &mut [u32], curve: C) {
    for (values, words) in values.chunks(BLOCK).zip(words.chunks_exact_mut(16)) {
        let mut bits = [0; 16];
        let (lanes, rest) = values.as_chunks::<16>();
        for (j, lanes) in lanes.iter().enumerate() {
            for (bits, value) in bits.iter_mut().zip(lanes) {
                *bits |= u32::from(curve.slope(*value) != 0.0) << j;
            }
        }
        for (bits, value) in bits.iter_mut().zip(rest) {
            *bits |= u32::from(curve.slope(*value) != 0.0) << lanes.len();
        }
        words.copy_from_slice(&bits);
    }
}

/// Copies the values whose bit is set; the others become 0.
#[inline(always)]
pub(super) fn select(values: &[f32], words: &[u32], out: &mut [f32]) {
    let blocks = values.chunks(BLOCK).zip(out.chunks_mut(BLOCK));
    for ((values, out), words) in blocks.zip(words.as_chunks::<16>().0) {
        let (lanes, rest) = values.as_chunks::<16>();
        let (out_lanes, out_rest) = out.as_chunks_mut::<16>();
        for (j, (lanes, out)) in lanes.iter().zip(out_lanes).enumerate() {
            for i in 0..16 {
                out[i] = if words[i] & (1 << j) == 0 {
                    0.0
                } else {
                    lanes[i]
                };
            }
        }
        for ((value, out), word) in rest.iter().zip(out_rest).zip(words) {
            *out = if word & (1 << lanes.len()) == 0 {
                0.0
            } else {
                *value
            };
        }
    }
}
