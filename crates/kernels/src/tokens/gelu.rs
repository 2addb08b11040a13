//! GELU and its derivative.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::f32::consts::{FRAC_1_SQRT_2, PI};
use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::simd::{Kernel, Simd, run};

/// Number of values of a task.
const TASK: usize = 1 << 14;

/// Writes `x · Φ(x)` for all values.
pub(super) fn forward(x: &[f32], out: &mut [MaybeUninit<f32>]) {
    out.par_chunks_mut(TASK)
        .zip(x.par_chunks(TASK))
        .for_each(|(out, x)| run(Forward { x, out }));
}

/// Writes the gradient of the input: `g · (Φ(x) + x · φ(x))`.
pub(super) fn backward(x: &[f32], grad: &[f32], out: &mut [MaybeUninit<f32>]) {
    out.par_chunks_mut(TASK)
        .zip(x.par_chunks(TASK).zip(grad.par_chunks(TASK)))
        .for_each(|(out, (x, grad))| run(Backward { x, grad, out }));
}

struct Forward<'a> {
    x: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (mut out, mut x) = (
            self.out.chunks_exact_mut(S::LANES),
            self.x.chunks_exact(S::LANES),
        );
        for (out, x) in (&mut out).zip(&mut x) {
            let x = s.load(x);
            s.write(s.mul(x, normal(s, x).0), out);
        }
        let x = s.load_part(x.remainder());
        let y = s.mul(x, normal(s, x).0);
        write_part(s, y, out.into_remainder());
    }
}

struct Backward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut out = self.out.chunks_exact_mut(S::LANES);
        let mut x = self.x.chunks_exact(S::LANES);
        let mut grad = self.grad.chunks_exact(S::LANES);
        for ((out, x), grad) in (&mut out).zip(&mut x).zip(&mut grad) {
            let slope = slope(s, s.load(x));
            s.write(s.mul(s.load(grad), slope), out);
        }
        let slope = slope(s, s.load_part(x.remainder()));
        let y = s.mul(s.load_part(grad.remainder()), slope);
        write_part(s, y, out.into_remainder());
    }
}

#[inline(always)]
fn slope<S: Simd>(s: S, x: S::V) -> S::V {
    let (below, density) = normal(s, x);
    s.mul_add(x, density, below)
}

/// `Φ(x)` and `φ(x)`, the distribution and density of the standard normal distribution.
///
/// The error function is Abramowitz and Stegun's approximation 7.1.26, which is off by at most
/// 1.5e-7.
#[inline(always)]
fn normal<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    const TERMS: [f32; 5] = [
        0.254_829_6,
        -0.284_496_74,
        1.421_413_8,
        -1.453_152,
        1.061_405_4,
    ];
    let zero = s.splat(0.0);
    let negative = s.sub(zero, x);
    let size = s.max(x, negative);
    let bell = s.exp(s.mul(s.mul(x, x), s.splat(-0.5)));
    let t = s.mul_add(size, s.splat(0.327_591_1 * FRAC_1_SQRT_2), s.splat(1.0));
    let t = s.div(s.splat(1.0), t);
    let mut sum = s.splat(TERMS[4]);
    for term in TERMS[..4].iter().rev() {
        sum = s.mul_add(sum, t, s.splat(*term));
    }
    // Half of the complementary error function, `Φ(-|x|)`.
    let tail = s.mul(s.mul(s.mul(sum, t), bell), s.splat(0.5));
    let below = s.select_greater(x, zero, s.sub(s.splat(1.0), tail), tail);
    (below, s.mul(bell, s.splat(1.0 / (2.0 * PI).sqrt())))
}

/// Writes the first `out.len()` lanes.
#[inline(always)]
pub(super) fn write_part<S: Simd>(s: S, vector: S::V, out: &mut [MaybeUninit<f32>]) {
    let mut all = [0.0; 16];
    s.store(vector, &mut all);
    for (out, value) in out.iter_mut().zip(all) {
        out.write(value);
    }
}
