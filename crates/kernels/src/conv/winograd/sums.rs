//! The products of transformed tiles.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]
#![allow(
    clippy::needless_range_loop,
    reason = "rows and vectors of a tile are indices of several operands"
)]

use crate::conv::product::Step;
use crate::simd::{Part, Simd};

/// The steps of a sum, in the order of growing offsets.
pub(super) struct Steps(Vec<Step>);

impl Steps {
    /// # Panics
    ///
    /// If an offset is smaller than the one before it.
    pub(super) fn new(steps: impl Iterator<Item = Step>) -> Self {
        let steps: Vec<Step> = steps.collect();
        assert!(
            steps
                .windows(2)
                .all(|two| { two[0].spread <= two[1].spread && two[0].vector <= two[1].vector })
        );
        Self(steps)
    }

    /// The steps of a range.
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Growing<'_> {
        Growing(&self.0[range])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Some of [`Steps`]: the last one has the largest offsets.
#[derive(Clone, Copy)]
pub(super) struct Growing<'a>(&'a [Step]);

/// An operand or result: the values, and the distance between its rows or vectors.
#[derive(Clone, Copy)]
pub(super) struct Rows<T> {
    pub(super) values: T,
    pub(super) stride: usize,
}

/// `out[i · stride + j · lanes ..] (+)= Σ_step spread[step.spread + i · stride] · vector[step.vector
/// + j · stride ..]` for `count` rows `i` and `vectors` (1 or 2) vectors `j`, as
/// [`crate::conv::product::product`] with regular offsets. With `add`, the result is added to `out`.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the result is borrowed only for the call"
)]
#[inline(always)]
pub(super) fn sums<S: Simd>(
    s: S,
    (count, vectors): (usize, usize),
    spread: Rows<&[f32]>,
    vector: Rows<&[f32]>,
    steps: Growing,
    out: Rows<&mut [f32]>,
    add: bool,
) {
    let most = match (S::REGISTERS >= 32, vectors) {
        (true, 1) => 12,
        (true, _) | (false, 1) => 8,
        (false, _) => 6,
    };
    let pieces = count.div_ceil(most);
    let mut row = 0;
    for piece in 0..pieces {
        let height = count / pieces + usize::from(piece < count % pieces);
        let part = Sums {
            spread: Rows {
                values: &spread.values[row * spread.stride..],
                ..spread
            },
            vector,
            steps,
            out: Rows {
                values: &mut out.values[row * out.stride..],
                stride: out.stride,
            },
            add,
        };
        row += height;
        macro_rules! tall {
            ($($height:literal)*) => {
                match (height, vectors) {
                    $(
                        ($height, 1) => s.apart(Tall::<$height, 1>(part)),
                        ($height, 2) => s.apart(Tall::<$height, 2>(part)),
                    )*
                    _ => unreachable!("at most twelve rows of two vectors"),
                }
            };
        }
        tall!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

struct Sums<'a> {
    spread: Rows<&'a [f32]>,
    vector: Rows<&'a [f32]>,
    steps: Growing<'a>,
    out: Rows<&'a mut [f32]>,
    add: bool,
}

/// `M` rows of `N` vectors.
struct Tall<'a, const M: usize, const N: usize>(Sums<'a>);

impl<S: Simd, const M: usize, const N: usize> Part<S> for Tall<'_, M, N> {
    #[allow(unsafe_code, reason = "bounds are checked once, before the loop")]
    #[inline(always)]
    fn run(self, s: S) {
        let Sums {
            spread,
            vector,
            steps,
            out,
            add,
        } = self.0;
        let mut tile = [[s.splat(0.0); N]; M];
        if add {
            for i in 0..M {
                for j in 0..N {
                    tile[i][j] = s.load(&out.values[i * out.stride + j * S::LANES..]);
                }
            }
        }
        if let Some(last) = steps.0.last() {
            let reach = last.spread as usize + (M - 1) * spread.stride;
            assert!(reach < spread.values.len());
            let reach = last.vector as usize + (N - 1) * vector.stride;
            assert!(reach + S::LANES <= vector.values.len());
        }
        for &step in steps.0 {
            let mut vectors = [s.splat(0.0); N];
            for j in 0..N {
                let at = step.vector as usize + j * vector.stride;
                // SAFETY: no step has larger offsets than the last one, for which `at` plus the
                // number of lanes is within `vector`, as asserted.
                vectors[j] = s.load(unsafe { vector.values.get_unchecked(at..at + S::LANES) });
            }
            for i in 0..M {
                let at = step.spread as usize + i * spread.stride;
                // SAFETY: no step has larger offsets than the last one, for which `at` is within
                // `spread`, as asserted.
                let value = s.splat(unsafe { *spread.values.get_unchecked(at) });
                for j in 0..N {
                    tile[i][j] = s.pin(s.mul_add(value, vectors[j], tile[i][j]));
                }
            }
        }
        for i in 0..M {
            for j in 0..N {
                s.store(tile[i][j], &mut out.values[i * out.stride + j * S::LANES..]);
            }
        }
    }
}
