//! Loops that the compiler turns into vectors.
//!
//! What is bound by memory needs no vectors of its own: a plain loop over slices, compiled for the
//! widest instructions of the processor, is as fast.

use crate::simd::{self, Kernel, Simd};

/// A loop of a kernel.
///
/// `run` and all that it calls must be `#[inline(always)]`, or they stay compiled for the target's
/// baseline. No operation may depend on the number of lanes: so the result does not.
pub(crate) trait Loop {
    /// What the loop gives.
    type Output;

    /// Runs it.
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
    #[allow(clippy::inline_always)] // or it is not compiled for the instructions
    fn run<S: Simd>(self, _: S) -> L::Output {
        self.0.run()
    }
}
