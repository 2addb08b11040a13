//! What the kernels run on: the instruction set, and the peak performance of the processor, with
//! which the speed of a kernel can be compared.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::simd::{Kernel, Level, Simd};

/// The instruction set that the kernels use: `avx512`, `avx2`, or `portable` for the baseline of the
/// target. It is the widest one that the processor supports, unless the environment variable
/// `FINETUNE_SIMD` names a narrower one when the first kernel runs.
#[must_use]
pub fn instruction_set() -> &'static str {
    Level::best().name()
}

/// The instruction set to which the environment variable `FINETUNE_SIMD` limits the kernels, if the processor
/// has a wider one.
#[must_use]
pub fn limit() -> Option<&'static str> {
    let level = Level::best();
    (!level.is_widest()).then(|| level.name())
}

/// The number of `f32` operations per second of all threads of rayon's pool with the widest
/// vectors. A fused multiply-add counts as two operations. The best of several attempts.
#[must_use]
pub fn peak_flops() -> f64 {
    const ROUNDS: usize = 400_000;
    struct Chains;
    impl Kernel for Chains {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f32 {
            // Enough independent chains to hide the latency of an operation.
            let mut chains = [s.splat(0.0); 12];
            let (factor, term) = (black_box(s.splat(0.999)), black_box(s.splat(1e-3)));
            for _ in 0..ROUNDS {
                for chain in &mut chains {
                    *chain = s.mul_add(*chain, factor, term);
                }
            }
            chains.into_iter().map(|chain| s.sum(chain)).sum()
        }
    }
    let level = Level::best();
    let threads = rayon::current_num_threads();
    #[allow(clippy::cast_precision_loss)]
    let operations = (threads * ROUNDS * 12 * level.lanes() * 2) as f64;
    operations
        / fastest(|| {
            rayon::broadcast(|_| black_box(level.run(Chains)));
        })
}

/// The memory bandwidth in bytes per second of all threads of rayon's pool, for `a[i] = b[i] + s ·
/// c[i]` over arrays that no cache holds, counting all three arrays (McCalpin's triad). The best of
/// several attempts.
#[must_use]
pub fn bandwidth() -> f64 {
    const LEN: usize = 1 << 24;
    const PIECE: usize = 1 << 14;
    struct Triad<'a>(&'a mut [f32], &'a [f32], &'a [f32]);
    impl Kernel for Triad<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let scale = s.splat(0.5);
            let (b, c) = (self.1.chunks_exact(S::LANES), self.2.chunks_exact(S::LANES));
            for ((a, b), c) in self.0.chunks_exact_mut(S::LANES).zip(b).zip(c) {
                s.store(s.mul_add(scale, s.load(c), s.load(b)), a);
            }
        }
    }
    let level = Level::best();
    let (mut a, b, c) = (vec![0.0; LEN], vec![1.0; LEN], vec![2.0; LEN]);
    #[allow(clippy::cast_precision_loss)]
    let bytes = (3 * LEN * size_of::<f32>()) as f64;
    bytes
        / fastest(|| {
            a.par_chunks_mut(PIECE)
                .zip(b.par_chunks(PIECE).zip(c.par_chunks(PIECE)))
                .for_each(|(a, (b, c))| level.run(Triad(a, b, c)));
        })
}

/// The shortest time of several attempts, seconds.
fn fastest(mut work: impl FnMut()) -> f64 {
    (0..12)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
