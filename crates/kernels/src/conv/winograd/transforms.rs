//! The transforms of Winograd's convolution.
//!
//! A tile of `R × R` outputs of a `3 × 3` convolution is `Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A` with an input
//! tile `x` of `A × A` values, `A = R + 2` (Lavin and Gray, "Fast Algorithms for Convolutional
//! Neural Networks", 2016, equation 8). `A = 4` is F(2×2, 3×3), `A = 6` is F(4×4, 3×3).
//!
//! The matrices follow from `A − 1` points at which polynomials are evaluated, and infinity (Toom
//! and Cook). With `N(p) = Π (p − q)` over the other points `q`, the row of `G` for a point `p` is
//! `(1, p, p²) / N(p)`, the column of `Aᵀ` is `(1, p, p², …)`, and the row of `Bᵀ` has the
//! coefficients of `Π (z − q)`. For `A = 6` the usual points 0, ±1, ±2 lose most of the precision
//! to the large powers of 2 and to nearly equal numbers; 0, ±3/4, ±3/2 lose a fifth of that (512
//! channels: 3·10⁻⁶ of the largest output instead of 1.6·10⁻⁵), and their powers are exact in `f32`.
//! Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
//! Neural Networks" (2020), give the reasons.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use crate::conv::transpose::Target;
use crate::simd::Simd;

/// The points `±NEAR` and `±FAR` of F(4×4, 3×3).
const NEAR: f32 = 0.75;
const FAR: f32 = 1.5;

/// Squares of the points.
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;

/// `1 / N(p)` for `p` = 0, `±NEAR` and `±FAR`.
const SCALE_0: f32 = 1.0 / (NEAR_2 * FAR_2);
const SCALE_NEAR: f32 = 1.0 / (2.0 * NEAR_2 * (NEAR_2 - FAR_2));
const SCALE_FAR: f32 = 1.0 / (2.0 * FAR_2 * (FAR_2 - NEAR_2));

/// A linear map of one row or column of a tile with side `A`.
pub(super) trait Map {
    /// Side of the tile that is read.
    fn from(side: usize) -> usize;
    /// Side of the tile that results.
    fn to(side: usize) -> usize;
    /// Maps the first `from(A)` vectors to the first `to(A)`; the others have no meaning.
    fn map<S: Simd, const A: usize>(s: S, x: [S::V; A]) -> [S::V; A];
}

/// `Bᵀ`: of inputs.
pub(super) struct Input;

/// `Aᵀ`: to outputs.
pub(super) struct Output;

/// `A`: of gradients of outputs.
pub(super) struct OutputGrad;

/// `G`: of weights.
pub(super) struct Weight;

/// `Gᵀ`: to gradients of weights.
pub(super) struct WeightGrad;

/// `even + p · odd` and `even − p · odd`.
#[inline(always)]
fn butterfly<S: Simd>(s: S, point: f32, even: S::V, odd: S::V) -> [S::V; 2] {
    [
        s.mul_add(s.splat(point), odd, even),
        s.mul_add(s.splat(-point), odd, even),
    ]
}

impl Map for Input {
    #[inline(always)]
    fn from(side: usize) -> usize {
        side
    }

    #[inline(always)]
    fn to(side: usize) -> usize {
        side
    }

    #[inline(always)]
    fn map<S: Simd, const A: usize>(s: S, x: [S::V; A]) -> [S::V; A] {
        let mut y = x;
        if A == 4 {
            y[0] = s.sub(x[0], x[2]);
            y[1] = s.add(x[2], x[1]);
            y[2] = s.sub(x[2], x[1]);
            y[3] = s.sub(x[3], x[1]);
            return y;
        }
        let (sum, product) = (s.splat(-NEAR_2 - FAR_2), s.splat(NEAR_2 * FAR_2));
        let (near, far) = (s.splat(-NEAR_2), s.splat(-FAR_2));
        y[0] = s.mul_add(product, x[0], s.mul_add(sum, x[2], x[4]));
        let (even, odd) = (s.mul_add(far, x[2], x[4]), s.mul_add(far, x[1], x[3]));
        [y[1], y[2]] = butterfly(s, NEAR, even, odd);
        let (even, odd) = (s.mul_add(near, x[2], x[4]), s.mul_add(near, x[1], x[3]));
        [y[3], y[4]] = butterfly(s, FAR, even, odd);
        y[5] = s.mul_add(product, x[1], s.mul_add(sum, x[3], x[5]));
        y
    }
}

impl Map for Output {
    #[inline(always)]
    fn from(side: usize) -> usize {
        side
    }

    #[inline(always)]
    fn to(side: usize) -> usize {
        side - 2
    }

    #[inline(always)]
    fn map<S: Simd, const A: usize>(s: S, x: [S::V; A]) -> [S::V; A] {
        let mut y = x;
        let (even, odd) = (s.add(x[1], x[2]), s.sub(x[1], x[2]));
        if A == 4 {
            y[0] = s.add(x[0], even);
            y[1] = s.add(x[3], odd);
            return y;
        }
        let (even_far, odd_far) = (s.add(x[3], x[4]), s.sub(x[3], x[4]));
        let power = |near: f32, far: f32, a: S::V, b: S::V| {
            s.mul_add(s.splat(far), b, s.mul(s.splat(near), a))
        };
        y[0] = s.add(x[0], s.add(even, even_far));
        y[1] = power(NEAR, FAR, odd, odd_far);
        y[2] = power(NEAR_2, FAR_2, even, even_far);
        y[3] = s.add(x[5], power(NEAR_2 * NEAR, FAR_2 * FAR, odd, odd_far));
        y
    }
}

impl Map for OutputGrad {
    #[inline(always)]
    fn from(side: usize) -> usize {
        side - 2
    }

    #[inline(always)]
    fn to(side: usize) -> usize {
        side
    }

    #[inline(always)]
    fn map<S: Simd, const A: usize>(s: S, x: [S::V; A]) -> [S::V; A] {
        let mut y = x;
        if A == 4 {
            y[1] = s.add(x[0], x[1]);
            y[2] = s.sub(x[0], x[1]);
            y[3] = x[1];
            return y;
        }
        let (near, far) = (s.splat(NEAR_2), s.splat(FAR_2));
        let (even, odd) = (s.mul_add(near, x[2], x[0]), s.mul_add(near, x[3], x[1]));
        [y[1], y[2]] = butterfly(s, NEAR, even, odd);
        let (even, odd) = (s.mul_add(far, x[2], x[0]), s.mul_add(far, x[3], x[1]));
        [y[3], y[4]] = butterfly(s, FAR, even, odd);
        y[5] = x[3];
        y
    }
}

impl Map for Weight {
    #[inline(always)]
    fn from(_: usize) -> usize {
        3
    }

    #[inline(always)]
    fn to(side: usize) -> usize {
        side
    }

    #[inline(always)]
    fn map<S: Simd, const A: usize>(s: S, x: [S::V; A]) -> [S::V; A] {
        let mut y = x;
        if A == 4 {
            let half = s.splat(0.5);
            let (even, odd) = (s.mul(half, s.add(x[0], x[2])), s.mul(half, x[1]));
            y[1] = s.add(even, odd);
            y[2] = s.sub(even, odd);
            y[3] = x[2];
            return y;
        }
        y[0] = s.mul(s.splat(SCALE_0), x[0]);
        let even = s.mul_add(s.splat(NEAR_2), x[2], x[0]);
        let [plus, minus] = butterfly(s, NEAR, even, x[1]);
        let scale = s.splat(SCALE_NEAR);
        [y[1], y[2]] = [s.mul(scale, plus), s.mul(scale, minus)];
        let even = s.mul_add(s.splat(FAR_2), x[2], x[0]);
        let [plus, minus] = butterfly(s, FAR, even, x[1]);
        let scale = s.splat(SCALE_FAR);
        [y[3], y[4]] = [s.mul(scale, plus), s.mul(scale, minus)];
        y[5] = x[2];
        y
    }
}

impl Map for WeightGrad {
    #[inline(always)]
    fn from(side: usize) -> usize {
        side
    }

    #[inline(always)]
    fn to(_: usize) -> usize {
        3
    }

    #[inline(always)]
    fn map<S: Simd, const A: usize>(s: S, x: [S::V; A]) -> [S::V; A] {
        let mut y = x;
        let (even, odd) = (s.add(x[1], x[2]), s.sub(x[1], x[2]));
        if A == 4 {
            let half = s.splat(0.5);
            y[0] = s.mul_add(half, even, x[0]);
            y[1] = s.mul(half, odd);
            y[2] = s.mul_add(half, even, x[3]);
            return y;
        }
        let (even_far, odd_far) = (s.add(x[3], x[4]), s.sub(x[3], x[4]));
        let power = |near: f32, far: f32, a: S::V, b: S::V| {
            let scaled = s.mul(s.splat(near * SCALE_NEAR), a);
            s.mul_add(s.splat(far * SCALE_FAR), b, scaled)
        };
        y[0] = s.mul_add(s.splat(SCALE_0), x[0], power(1.0, 1.0, even, even_far));
        y[1] = power(NEAR, FAR, odd, odd_far);
        y[2] = s.add(x[5], power(NEAR_2, FAR_2, even, even_far));
        y
    }
}

/// Where the vectors of a tile are: its first one, and the distances between rows and columns.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) first: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl At {
    #[inline(always)]
    fn of(self, row: usize, column: usize) -> usize {
        self.first + row * self.row + column * self.column
    }
}

/// Maps the rows and the columns of a tile.
#[inline(always)]
pub(super) fn tile<S: Simd, M: Map, const A: usize>(
    s: S,
    (source, from): (&[f32], At),
    (out, to): (&mut (impl Target + ?Sized), At),
) {
    // One check instead of one per vector.
    let source = &source[from.first..from.of(M::from(A) - 1, M::from(A) - 1) + S::LANES];
    let out = out.part(to.first..to.of(M::to(A) - 1, M::to(A) - 1) + S::LANES);
    let (from, to) = (At { first: 0, ..from }, At { first: 0, ..to });
    let mut half = [[s.splat(0.0); A]; A];
    for (i, half) in half.iter_mut().enumerate().take(M::from(A)) {
        let mut row = [s.splat(0.0); A];
        for (j, value) in row.iter_mut().enumerate().take(M::from(A)) {
            *value = s.load(&source[from.of(i, j)..]);
        }
        *half = M::map(s, row);
    }
    #[allow(clippy::needless_range_loop, reason = "a column of all rows")]
    for j in 0..M::to(A) {
        let mut column = [s.splat(0.0); A];
        for i in 0..M::from(A) {
            column[i] = half[i][j];
        }
        let column = M::map(s, column);
        for (i, &value) in column.iter().enumerate().take(M::to(A)) {
            out.put(s, to.of(i, j), value, S::LANES);
        }
    }
}
