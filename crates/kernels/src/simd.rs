//! Kernels for several instruction sets, selected at run time by what the processor supports.
//!
//! A kernel implements [`Kernel`] once, generic over [`Simd`]. [`run`] (or a [`Level`]) calls it
//! with the widest vectors available: AVX-512, AVX2 with FMA, or plain arrays that the compiler
//! vectorises for the baseline of the target. All kernel code is safe. This module contains the
//! crate's `unsafe` SIMD code, under one invariant: a value of [`Avx512`] or [`Avx2`] exists only
//! if the processor was found to support its instructions.
//!
//! Every function from [`Kernel::run`] down to the vector operations must be `#[inline(always)]`,
//! so that it is compiled with the features of the instruction set.

#![allow(
    unsafe_code,
    reason = "intrinsics; sound by the invariant of the tokens"
)]
#![allow(clippy::inline_always)]

use std::mem::MaybeUninit;
use std::sync::LazyLock;

/// `f32` vectors of one instruction set.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of [`Simd::LANES`] values.
    type V: Copy + Send + Sync;
    /// Number of values in a vector.
    const LANES: usize;
    /// Number of vector registers.
    const REGISTERS: usize;

    /// A vector with `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// Loads the first [`Simd::LANES`] values of a slice; panics if it is shorter.
    fn load(self, values: &[f32]) -> Self::V;
    /// Stores into the first [`Simd::LANES`] elements of a slice; panics if it is shorter.
    fn store(self, vector: Self::V, out: &mut [f32]);
    /// Stores into uninitialised memory; panics if it is shorter.
    fn write(self, vector: Self::V, out: &mut [MaybeUninit<f32>]);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`, fused if the instruction set supports it.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The minimum of each lane; `b` if either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The maximum of each lane; `b` if either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The square root of each lane.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `then` in lanes where `a > b`, else `otherwise`.
    fn select_greater(self, a: Self::V, b: Self::V, then: Self::V, otherwise: Self::V) -> Self::V;
    /// The sum of all lanes, in a fixed order.
    fn sum(self, a: Self::V) -> f32;
    /// `2ⁿ` of whole numbers from -126 to 127.
    fn power_of_two(self, n: Self::V) -> Self::V;

    /// `eᵃ`, exact to 2 units in the last place; what would be smaller than the smallest normal number
    /// is that number, and what would overflow is the largest power that does not.
    ///
    /// The polynomial is that of `expf` in the Cephes library (Moshier 1992).
    #[inline(always)]
    fn exp(self, a: Self::V) -> Self::V {
        /// Adding and subtracting `1.5 · 2²³` rounds to a whole number.
        const ROUND: f32 = 12_582_912.0;
        const TERMS: [f32; 6] = [
            1.987_569_1e-4,
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ];
        let a = self.max(self.min(a, self.splat(88.0)), self.splat(-87.0));
        let n = self.mul_add(a, self.splat(std::f32::consts::LOG2_E), self.splat(ROUND));
        let n = self.sub(n, self.splat(ROUND));
        // `ln 2` in two parts, of which the first has few digits.
        let rest = self.mul_add(n, self.splat(-0.693_359_4), a);
        let rest = self.mul_add(n, self.splat(2.121_944_4e-4), rest);
        let mut sum = self.splat(TERMS[0]);
        for term in &TERMS[1..] {
            sum = self.mul_add(sum, rest, self.splat(*term));
        }
        let sum = self.mul_add(sum, self.mul(rest, rest), rest);
        self.mul(self.add(sum, self.splat(1.0)), self.power_of_two(n))
    }

    /// Runs an inner loop as a separate function. An inlined loop competes for registers with the
    /// code around it, and which values are spilled differs from build to build.
    fn apart(self, part: impl Part<Self>);

    /// Prefetches the cache line of `values[at]`, if there is such an element.
    fn prefetch(self, values: &[f32], at: usize);

    /// The same into the second-level cache only, for what is read later.
    fn prefetch_far(self, values: &[f32], at: usize);

    /// Returns the same vector, and makes the compiler compute it before later reads from memory.
    /// Otherwise the compiler may load more values ahead than there are registers.
    fn pin(self, vector: Self::V) -> Self::V;

    /// Transposes the square matrix whose rows are the first [`Simd::LANES`] vectors.
    fn transpose(self, square: &mut [Self::V; 16]);

    /// Loads a slice shorter than a vector into the first lanes; the others are 0.
    #[inline(always)]
    fn load_part(self, values: &[f32]) -> Self::V {
        let mut all = [0.0; 16];
        all[..values.len()].copy_from_slice(values);
        self.load(&all)
    }

    /// Copies a slice to one of the same length, without the call to which the compiler turns
    /// `copy_from_slice`: rows of images are short.
    #[inline(always)]
    fn copy(self, from: &[f32], to: &mut [f32]) {
        // SAFETY: the elements are written, and stay initialised.
        let to = unsafe { &mut *(std::ptr::from_mut(to) as *mut [MaybeUninit<f32>]) };
        self.fill(from, to);
    }

    /// The same into uninitialised memory.
    #[inline(always)]
    fn fill(self, from: &[f32], to: &mut [MaybeUninit<f32>]) {
        assert_eq!(from.len(), to.len());
        let len = from.len();
        if len < Self::LANES {
            let mut at = 0;
            part::<8>(len, &mut at, from, to);
            part::<4>(len, &mut at, from, to);
            part::<2>(len, &mut at, from, to);
            part::<1>(len, &mut at, from, to);
            return;
        }
        let mut at = 0;
        while at + Self::LANES <= len {
            self.write(self.load(&from[at..]), &mut to[at..]);
            at += Self::LANES;
        }
        if at < len {
            // The last vector overlaps with the one before.
            let at = len - Self::LANES;
            self.write(self.load(&from[at..]), &mut to[at..]);
        }
    }

    /// Stores the first `out.len()` lanes; `out` is at most as long as a vector.
    #[inline(always)]
    fn store_part(self, vector: Self::V, out: &mut [f32]) {
        let mut all = [0.0; 16];
        self.store(vector, &mut all);
        let count = out.len();
        out.copy_from_slice(&all[..count]);
    }
}

/// Copies `N` values from `at` if the number `len` of all has this power of two.
#[inline(always)]
fn part<const N: usize>(len: usize, at: &mut usize, from: &[f32], to: &mut [MaybeUninit<f32>]) {
    if len & N == 0 {
        return;
    }
    let values: &[f32; N] = from[*at..].first_chunk().expect("a part of the values");
    let place = to[*at..].first_chunk_mut().expect("a part of the places");
    *place = values.map(MaybeUninit::new);
    *at += N;
}

/// A computation written once for all instruction sets.
pub(crate) trait Kernel {
    /// The result.
    type Output;
    /// Runs the computation. Implementations must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A part of a kernel, for [`Simd::apart`].
pub(crate) trait Part<S: Simd> {
    /// Runs the computation. Implementations must be `#[inline(always)]`.
    fn run(self, simd: S);
}

/// The environment variable that limits the instruction set, for measurements and tests: `avx2` or
/// `portable`.
const CAP: &str = "FINETUNE_SIMD";

/// An instruction set that this processor supports.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// The baseline of the target.
    Portable,
}

impl Level {
    /// The instruction set with the widest vectors that the processor supports and
    /// [`CAP`] permits.
    pub(crate) fn best() -> Self {
        static BEST: LazyLock<Level> = LazyLock::new(|| {
            let cap = std::env::var(CAP).ok();
            Level::within(cap.as_deref())
        });
        *BEST
    }

    /// The widest vectors up to those of `cap`, a name of an instruction set; an unknown name means
    /// no limit.
    fn within(cap: Option<&str>) -> Self {
        let all = Self::supported();
        let limit = all.iter().position(|level| Some(level.name()) == cap);
        // A name that the processor does not support is wider than all that it does.
        all[limit.unwrap_or(all.len() - 1)]
    }

    /// Its name, as in [`CAP`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Whether the processor supports no wider vectors.
    pub(crate) fn is_widest(self) -> bool {
        static WIDEST: LazyLock<&str> = LazyLock::new(|| Level::within(None).name());
        self.name() == *WIDEST
    }

    /// All instruction sets that the processor supports, the widest last.
    fn supported() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have no other")]
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Avx2::detect().map(Self::Avx2));
            all.extend(Avx512::detect().map(Self::Avx512));
        }
        all
    }

    /// All instruction sets that the processor supports, for tests.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        Self::supported()
    }

    /// Number of values in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::LANES,
            Self::Portable => Portable::LANES,
        }
    }

    /// Runs a kernel with this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.enter(kernel),
            Self::Portable => kernel.run(Portable),
        }
    }
}

/// Runs a kernel with the widest vectors of this processor.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    Level::best().run(kernel)
}

pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests {
    use super::{Kernel, Level, Simd};

    struct Everything<'a>(&'a [f32], &'a [f32]);

    impl Kernel for Everything<'_> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            let mut out = vec![0.0; 16 * 11];
            let mut sum = 0.0;
            for at in (0..16).step_by(S::LANES) {
                let (a, b) = (s.load(&self.0[at..]), s.load(&self.1[at..]));
                let results = [
                    s.add(a, b),
                    s.sub(a, b),
                    s.mul(a, b),
                    s.div(a, b),
                    s.mul_add(a, b, s.splat(0.5)),
                    s.min(a, b),
                    s.max(a, b),
                    s.sqrt(b),
                    s.select_greater(a, b, s.splat(1.0), a),
                    s.load_part(&self.0[at..at + 3]),
                ];
                sum += s.sum(a);
                for (i, result) in results.into_iter().enumerate() {
                    s.store(result, &mut out[16 * i + at..]);
                }
            }
            out[160] = sum;
            s.store_part(s.splat(2.0), &mut out[161..164]);
            out
        }
    }

    struct Exponentials<'a>(&'a [f32], &'a mut [f32]);

    impl Kernel for Exponentials<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (x, out) in self.0.chunks(S::LANES).zip(self.1.chunks_mut(S::LANES)) {
                s.store(s.exp(s.load(x)), out);
            }
        }
    }

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn exponentials_are_exact_and_stay_finite() {
        let mut x: Vec<f32> = (-8600..8600).map(|i| i as f32 * 0.01).collect();
        x.extend([-1e30, 1e30, f32::NEG_INFINITY, f32::INFINITY]);
        x.resize(x.len().next_multiple_of(16), 0.0);
        for level in Level::all() {
            let mut found = vec![0.0; x.len()];
            level.run(Exponentials(&x, &mut found));
            for (x, found) in x.iter().zip(found) {
                let wanted = f64::from(x.clamp(-87.0, 88.0)).exp();
                let apart = (f64::from(found) / wanted - 1.0).abs();
                assert!(apart < 2.5e-7, "exp({x}) = {found}: off by {apart}");
            }
        }
    }

    #[test]
    fn a_known_name_limits_the_instruction_set() {
        let widest = Level::all().last().map(|level| level.name());
        assert_eq!(Level::within(Some("portable")).name(), "portable");
        assert_eq!(Some(Level::within(Some("sse9")).name()), widest);
        assert_eq!(Some(Level::within(None).name()), widest);
        for level in Level::all() {
            assert_eq!(Level::within(Some(level.name())).name(), level.name());
        }
    }

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn every_instruction_set_gives_the_same_results() {
        let a: Vec<f32> = (0..16).map(|i| i as f32 * 0.75 - 4.0).collect();
        let b: Vec<f32> = (0..16).map(|i| 3.0 / (1.0 + i as f32)).collect();
        let check = |got: Vec<f32>, lanes: usize| {
            for i in 0..16 {
                let part = if i % lanes < 3 { a[i] } else { 0.0 };
                let expected = [
                    a[i] + b[i],
                    a[i] - b[i],
                    a[i] * b[i],
                    a[i] / b[i],
                    a[i] * b[i] + 0.5,
                    a[i].min(b[i]),
                    a[i].max(b[i]),
                    b[i].sqrt(),
                    if a[i] > b[i] { 1.0 } else { a[i] },
                    part,
                ];
                for (j, expected) in expected.into_iter().enumerate() {
                    let got = got[16 * j + i];
                    assert!(
                        (got - expected).abs() < 1e-5,
                        "{j} of {i}: {got} {expected}"
                    );
                }
            }
            assert!((got[160] - a.iter().sum::<f32>()).abs() < 1e-4);
            assert_eq!(&got[161..165], &[2.0, 2.0, 2.0, 0.0]);
        };
        for level in Level::all() {
            check(level.run(Everything(&a, &b)), level.lanes());
        }
    }
}
