//! The inner product of all convolutions.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use crate::simd::{Part, Simd};

/// The offsets that one step of a sum reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Offset into the operand whose values are broadcast to vectors.
    pub(crate) spread: u32,
    /// Offset into the operand that is read as vectors.
    pub(crate) vector: u32,
}

/// An offset in the form in which the kernels store it.
///
/// # Panics
///
/// If an operand of a task has more than 2³² values.
pub(crate) fn index(offset: usize) -> u32 {
    u32::try_from(offset).expect("a task's memory is smaller than 16 GiB")
}

/// `tile[i][j] += Σ_step spread[step.spread + spread_at[i]] · vector[step.vector + vector_at[j]
/// ..]`, where `..` stands for the lanes: an `M × (N · lanes)` tile of a matrix product whose
/// operands are addressed by sums of offsets, so that no operand has to be copied into rows and
/// columns first.
///
/// # Panics
///
/// If an offset is outside its operand.
#[inline(always)]
pub(crate) fn product<S: Simd, const M: usize, const N: usize>(
    s: S,
    spread: (&[f32], &[u32; M]),
    vector: (&[f32], &[u32; N]),
    steps: &[Step],
    tile: &mut [[S::V; N]; M],
) {
    /// Number of steps from which the cost of a call is negligible.
    const LONG: usize = 48;
    let sums = Product {
        spread,
        vector,
        steps,
        tile,
    };
    if steps.len() < LONG {
        sums.run(s);
    } else {
        s.apart(sums);
    }
}

struct Product<'a, S: Simd, const M: usize, const N: usize> {
    spread: (&'a [f32], &'a [u32; M]),
    vector: (&'a [f32], &'a [u32; N]),
    steps: &'a [Step],
    tile: &'a mut [[S::V; N]; M],
}

impl<S: Simd, const M: usize, const N: usize> Part<S> for Product<'_, S, M, N> {
    #[allow(unsafe_code, reason = "bounds are checked once, before the loop")]
    #[inline(always)]
    fn run(self, s: S) {
        let ((spread, spread_at), (vector, vector_at)) = (self.spread, self.vector);
        if self.steps.is_empty() {
            return;
        }
        let (mut spread_end, mut vector_end) = (0, 0);
        for step in self.steps {
            spread_end = step.spread.max(spread_end);
            vector_end = step.vector.max(vector_end);
        }
        let reach = |offsets: &[u32]| offsets.iter().fold(0, |end, &at| at.max(end)) as usize;
        assert!(spread_end as usize + reach(spread_at) < spread.len());
        assert!(vector_end as usize + reach(vector_at) + S::LANES <= vector.len());

        // Copies, because values behind a reference would be read again after each `pin`.
        let spread_at = spread_at.map(|at| at as usize);
        let vector_at = vector_at.map(|at| at as usize);
        let mut sums = *self.tile;
        for &step in self.steps {
            // Each offset is added to a pointer once per step, and then by the addressing of the
            // instruction that reads: a processor has few registers for sums of offsets.
            // SAFETY: both offsets plus those of the tile are within their operands, as asserted.
            let (spread, vector) = unsafe {
                (
                    spread.get_unchecked(step.spread as usize..),
                    vector.get_unchecked(step.vector as usize..),
                )
            };
            let mut vectors = [s.splat(0.0); N];
            for j in 0..N {
                let at = vector_at[j];
                // SAFETY: `at` plus the number of lanes is within `vector`, as asserted.
                vectors[j] = s.load(unsafe { vector.get_unchecked(at..at + S::LANES) });
            }
            for i in 0..M {
                // SAFETY: the offset is within `spread`, as asserted.
                let value = s.splat(unsafe { *spread.get_unchecked(spread_at[i]) });
                for j in 0..N {
                    sums[i][j] = s.pin(s.mul_add(value, vectors[j], sums[i][j]));
                }
            }
        }
        *self.tile = sums;
    }
}

/// Calls a generic function with the tile that fills the registers of an instruction set for a
/// block of `vectors` (1, 2 or 3) vectors: `tiled!(S, vectors, function(arguments))`.
macro_rules! tiled {
    ($simd:ty, $vectors:expr, $function:ident($($argument:expr),* $(,)?)) => {
        if <$simd>::REGISTERS >= 32 {
            match $vectors {
                1 => $function::<$simd, 12, 1>($($argument),*),
                2 => $function::<$simd, 8, 2>($($argument),*),
                _ => $function::<$simd, 8, 3>($($argument),*),
            }
        } else {
            match $vectors {
                1 => $function::<$simd, 8, 1>($($argument),*),
                2 => $function::<$simd, 6, 2>($($argument),*),
                _ => $function::<$simd, 3, 3>($($argument),*),
            }
        }
    };
}
pub(crate) use tiled;

/// A range of channels that is computed together as whole vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The first channel.
    pub(crate) start: usize,
    /// Number of channels; the remaining lanes of the last vector are idle.
    pub(crate) len: usize,
    /// Number of vectors: 1, 2 or 3.
    pub(crate) vectors: usize,
}

/// Divides `count` channels evenly into blocks of at most three vectors of `lanes`; of two if vectors
/// are short, because there are few registers then, and 6 × 2 vectors need fewer reads than 3 × 3.
pub(crate) fn blocks(count: usize, lanes: usize) -> Vec<Block> {
    let total = count.div_ceil(lanes);
    let pieces = total.div_ceil(if lanes < 16 { 2 } else { 3 });
    let mut start = 0;
    (0..pieces)
        .map(|piece| {
            let vectors = total / pieces + usize::from(piece < total % pieces);
            let len = (vectors * lanes).min(count - start);
            let block = Block {
                start,
                len,
                vectors,
            };
            start += len;
            block
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Block, blocks};

    #[test]
    fn blocks_cover_all_channels_once() {
        let block = |start, len, vectors| Block {
            start,
            len,
            vectors,
        };
        assert_eq!(blocks(64, 16), [block(0, 32, 2), block(32, 32, 2)]);
        assert_eq!(blocks(72, 16), [block(0, 48, 3), block(48, 24, 2)]);
        assert_eq!(blocks(3, 16), [block(0, 3, 1)]);
        for count in 1..200 {
            for lanes in [8, 16] {
                let all = blocks(count, lanes);
                let covered: Vec<usize> =
                    all.iter().flat_map(|b| b.start..b.start + b.len).collect();
                assert_eq!(covered, (0..count).collect::<Vec<_>>());
                assert!(all.iter().all(|b| b.len <= b.vectors * lanes && b.len > 0));
            }
        }
    }
}
