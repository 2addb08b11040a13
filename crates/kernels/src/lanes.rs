//! Loops that the compiler turns into vectors.
//!
//! Operations that are limited by memory need no explicit vectors: a plain loop over slices,
//! compiled for the widest instructions of the processor, is as fast.

use crate::simd::{self, Kernel, Simd};

/// A loop that [`widest`] compiles for each instruction set.
///
/// `run` and all functions that it calls must be `#[inline(always)]`; otherwise they are compiled
/// for the baseline of the target. No operation may depend on the number of lanes, so that the
/// result does not either.
pub(crate) trait Loop {
    /// The result of the loop.
    type Output;

    /// Runs the loop.
    fn run(self) -> Self::Output;
}

/// Runs a loop with the widest vectors of this processor.
#[inline]
pub(crate) fn widest<L: Loop>(work: L) -> L::Output {
    simd::run(Plain(work))
}

struct Plain<L>(L);

impl<L: Loop> Kernel for Plain<L> {
    type Output = L::Output;

    #[inline(always)]
    #[allow(clippy::inline_always)] // so that it is compiled for the instruction set
    fn run<S: Simd>(self, _: S) -> L::Output {
        self.0.run()
    }
}
