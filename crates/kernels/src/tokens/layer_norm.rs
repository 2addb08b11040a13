//! Layer normalisation of rows.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::gelu::write_part;
use crate::simd::{Kernel, Simd, run};

/// Number of rows of a task. Partial sums of γ's and β's gradients are those of a task, so that their
/// order does not depend on the number of threads.
const ROWS: usize = 64;

/// Scale, shift and epsilon of a layer.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) gamma: &'a [f32],
    pub(super) beta: &'a [f32],
    pub(super) epsilon: f32,
}

/// Mean and inverse standard deviation of each row.
pub(super) type Moments = Vec<[f32; 2]>;

/// Writes the normalised rows, and returns their moments.
pub(super) fn forward(layer: Layer, x: &[f32], out: &mut [MaybeUninit<f32>]) -> Moments {
    let width = layer.gamma.len();
    let mut moments = vec![[0.0; 2]; x.len() / width];
    out.par_chunks_mut(ROWS * width)
        .zip(x.par_chunks(ROWS * width))
        .zip(moments.par_chunks_mut(ROWS))
        .for_each(|((out, x), moments)| {
            run(Forward {
                layer,
                x,
                out,
                moments,
            });
        });
    moments
}

/// The gradients of γ and β.
pub(super) type Sums = (Vec<f32>, Vec<f32>);

/// Writes the gradient of the input, and returns those of γ and β if they are asked for.
pub(super) fn backward(
    gamma: &[f32],
    moments: &[[f32; 2]],
    (x, grad): (&[f32], &[f32]),
    trains: bool,
    out: &mut [MaybeUninit<f32>],
) -> Option<Sums> {
    let width = gamma.len();
    let parts: Vec<Vec<f32>> = out
        .par_chunks_mut(ROWS * width)
        .zip(
            x.par_chunks(ROWS * width)
                .zip(grad.par_chunks(ROWS * width)),
        )
        .zip(moments.par_chunks(ROWS))
        .map(|((out, (x, grad)), moments)| {
            let mut sums = vec![0.0; if trains { 2 * width } else { 0 }];
            run(Backward {
                gamma,
                moments,
                x,
                grad,
                out,
                sums: &mut sums,
            });
            sums
        })
        .collect();
    trains.then(|| {
        let mut sums = vec![0.0; 2 * width];
        for part in parts {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += part;
            }
        }
        let beta = sums.split_off(width);
        (sums, beta)
    })
}

struct Forward<'a> {
    layer: Layer<'a>,
    x: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
    moments: &'a mut [[f32; 2]],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layer {
            gamma,
            beta,
            epsilon,
        } = self.layer;
        let width = gamma.len();
        let rows = self
            .x
            .chunks_exact(width)
            .zip(self.out.chunks_exact_mut(width));
        for ((x, out), moments) in rows.zip(self.moments) {
            #[allow(clippy::cast_precision_loss, reason = "widths are far below 2²⁴")]
            let count = width as f32;
            let mean = reduce(s, x, |_, x, _| x, 0.0) / count;
            let variance = reduce(
                s,
                x,
                |s, x, mean| {
                    let apart = s.sub(x, s.splat(mean));
                    s.mul(apart, apart)
                },
                mean,
            ) / count;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            *moments = [mean, inverse];
            let mut at = 0;
            while at + S::LANES <= width {
                let y = s.mul(s.sub(s.load(&x[at..]), s.splat(mean)), s.splat(inverse));
                let y = s.mul_add(y, s.load(&gamma[at..]), s.load(&beta[at..]));
                s.write(y, &mut out[at..]);
                at += S::LANES;
            }
            let y = s.mul(
                s.sub(s.load_part(&x[at..]), s.splat(mean)),
                s.splat(inverse),
            );
            let y = s.mul_add(y, s.load_part(&gamma[at..]), s.load_part(&beta[at..]));
            write_part(s, y, &mut out[at..]);
        }
    }
}

/// The sum of a function of the values of a row.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: &[f32], f: impl Fn(S, S::V, f32) -> S::V, mean: f32) -> f32 {
    let mut sum = s.splat(0.0);
    let mut chunks = x.chunks_exact(S::LANES);
    for x in &mut chunks {
        sum = s.add(sum, f(s, s.load(x), mean));
    }
    let rest = chunks.remainder();
    let mut all = [0.0; 16];
    s.store(f(s, s.load_part(rest), mean), &mut all);
    s.sum(sum) + all[..rest.len()].iter().sum::<f32>()
}

struct Backward<'a> {
    gamma: &'a [f32],
    moments: &'a [[f32; 2]],
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
    /// The sums for γ, then those for β; empty if they are frozen.
    sums: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// With `x̂ = (x − mean) · inverse` and `h = γ·g`: `dx = inverse · (h − mean(h) − x̂ · mean(h · x̂))`.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.gamma.len();
        let rows = self
            .x
            .chunks_exact(width)
            .zip(self.grad.chunks_exact(width));
        let rows = rows.zip(self.out.chunks_exact_mut(width));
        let (gamma_sums, beta_sums) = self.sums.split_at_mut(self.sums.len() / 2);
        for (((x, grad), out), [mean, inverse]) in rows.zip(self.moments) {
            let (mean, inverse) = (s.splat(*mean), s.splat(*inverse));
            let normal = |x: S::V| s.mul(s.sub(x, mean), inverse);
            let (mut sum, mut projection) = (s.splat(0.0), s.splat(0.0));
            let mut at = 0;
            while at + S::LANES <= width {
                let h = s.mul(s.load(&grad[at..]), s.load(&self.gamma[at..]));
                sum = s.add(sum, h);
                projection = s.mul_add(h, normal(s.load(&x[at..])), projection);
                at += S::LANES;
            }
            // The idle lanes of the last vector have a gradient of 0.
            let h = s.mul(s.load_part(&grad[at..]), s.load_part(&self.gamma[at..]));
            sum = s.add(sum, h);
            projection = s.mul_add(h, normal(s.load_part(&x[at..])), projection);
            #[allow(clippy::cast_precision_loss, reason = "widths are far below 2²⁴")]
            let count = width as f32;
            let (sum, projection) = (
                s.splat(s.sum(sum) / count),
                s.splat(s.sum(projection) / count),
            );
            let slope = |x: S::V, grad: S::V, gamma: S::V| {
                let h = s.sub(s.mul(grad, gamma), sum);
                s.mul(inverse, s.sub(h, s.mul(normal(x), projection)))
            };
            let mut at = 0;
            while at + S::LANES <= width {
                let (x, grad) = (s.load(&x[at..]), s.load(&grad[at..]));
                s.write(slope(x, grad, s.load(&self.gamma[at..])), &mut out[at..]);
                if !beta_sums.is_empty() {
                    let gamma = &mut gamma_sums[at..];
                    s.store(s.mul_add(grad, normal(x), s.load(gamma)), gamma);
                    let beta = &mut beta_sums[at..];
                    s.store(s.add(grad, s.load(beta)), beta);
                }
                at += S::LANES;
            }
            let (x, grad) = (s.load_part(&x[at..]), s.load_part(&grad[at..]));
            let dx = slope(x, grad, s.load_part(&self.gamma[at..]));
            write_part(s, dx, &mut out[at..]);
            if !beta_sums.is_empty() {
                let gamma = &mut gamma_sums[at..];
                s.store_part(s.mul_add(grad, normal(x), s.load_part(gamma)), gamma);
                let beta = &mut beta_sums[at..];
                s.store_part(s.add(grad, s.load_part(beta)), beta);
            }
        }
    }
}
