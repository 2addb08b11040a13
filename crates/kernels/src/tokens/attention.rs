//! Attention and its gradients, head by head, with the scores of some queries at a time.

#![allow(clippy::inline_always, reason = "compiled into each instruction set")]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::linear::product::Matrix;
use crate::simd::{Kernel, Simd, run};

/// Number of scores that are computed together: they stay in the second-level cache.
const SCORES: usize = 1 << 15;

/// The sizes of an attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Number of values of a head per token.
    pub(super) dim: usize,
}

impl Sizes {
    fn width(self) -> usize {
        self.heads * self.dim
    }

    /// Number of queries that are computed together.
    fn rows(self) -> usize {
        (SCORES / self.tokens).clamp(1, self.tokens)
    }

    #[allow(clippy::cast_precision_loss, reason = "a head has few values")]
    fn scale(self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// Queries (0), keys (1) or values (2) of a head of an image, `[tokens, dim]`.
    fn part(self, image: &[f32], part: usize, head: usize) -> Matrix<'_> {
        let start = part * self.width() + head * self.dim;
        Matrix::strided(&image[start..], [self.tokens, self.dim], 3 * self.width())
    }

    /// The values of a head in a tensor `[tokens, heads · dim]`.
    fn output(self, image: &[f32], head: usize) -> Matrix<'_> {
        let start = head * self.dim;
        Matrix::strided(&image[start..], [self.tokens, self.dim], self.width())
    }

    /// Writes the rows of a head into `[tokens, columns]` from column `start` on.
    fn place(self, values: &[f32], start: usize, columns: usize, out: &mut [MaybeUninit<f32>]) {
        let rows = values
            .chunks_exact(self.dim)
            .zip(out.chunks_exact_mut(columns));
        for (values, out) in rows {
            out[start..start + self.dim].write_copy_of_slice(values);
        }
    }
}

/// Writes the attention of all images, and returns the logarithm of each query's sum of exponentials,
/// `[batch, heads, tokens]`.
pub(super) fn forward(sizes: Sizes, qkv: &[f32], out: &mut [MaybeUninit<f32>]) -> Vec<f32> {
    let Sizes { tokens, heads, .. } = sizes;
    let width = sizes.width();
    let mut logs = vec![0.0; out.len() / width * heads];
    out.par_chunks_mut(tokens * width)
        .zip(qkv.par_chunks(tokens * 3 * width))
        .zip(logs.par_chunks_mut(heads * tokens))
        .for_each(|((out, qkv), logs)| {
            let done: Vec<Vec<f32>> = logs
                .par_chunks_mut(tokens)
                .enumerate()
                .map(|(head, logs)| head_forward(sizes, qkv, head, logs))
                .collect();
            for (head, values) in done.iter().enumerate() {
                sizes.place(values, head * sizes.dim, width, out);
            }
        });
    logs
}

fn head_forward(sizes: Sizes, qkv: &[f32], head: usize, logs: &mut [f32]) -> Vec<f32> {
    let Sizes { tokens, dim, .. } = sizes;
    let [q, k, v] = [0, 1, 2].map(|part| sizes.part(qkv, part, head));
    let rows = sizes.rows();
    let mut scores = vec![0.0; rows * tokens];
    let mut out = vec![0.0; tokens * dim];
    let blocks = out.chunks_mut(rows * dim).zip(logs.chunks_mut(rows));
    for (block, (out, logs)) in blocks.enumerate() {
        let count = logs.len();
        let scores = &mut scores[..count * tokens];
        q.some_rows(block * rows, count)
            .times_into(k.transposed(), scores);
        run(Softmax {
            scale: sizes.scale(),
            scores,
            logs,
        });
        Matrix::new(scores, [count, tokens]).times_into(v, out);
    }
    out
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a> {
    pub(super) qkv: &'a [f32],
    /// The output of the forward pass.
    pub(super) output: &'a [f32],
    pub(super) logs: &'a [f32],
    /// The gradient of the output.
    pub(super) grad: &'a [f32],
}

/// Writes the gradient of queries, keys and values.
pub(super) fn backward(sizes: Sizes, saved: Saved, out: &mut [MaybeUninit<f32>]) {
    let Sizes { tokens, heads, dim } = sizes;
    let width = sizes.width();
    let plane = tokens * width;
    out.par_chunks_mut(3 * plane)
        .enumerate()
        .for_each(|(image, out)| {
            let saved = Saved {
                qkv: &saved.qkv[image * 3 * plane..][..3 * plane],
                output: &saved.output[image * plane..][..plane],
                logs: &saved.logs[image * heads * tokens..][..heads * tokens],
                grad: &saved.grad[image * plane..][..plane],
            };
            let done: Vec<[Vec<f32>; 3]> = (0..heads)
                .into_par_iter()
                .map(|head| head_backward(sizes, saved, head))
                .collect();
            for (head, parts) in done.iter().enumerate() {
                for (part, values) in parts.iter().enumerate() {
                    sizes.place(values, part * width + head * dim, 3 * width, out);
                }
            }
        });
}

/// With probabilities `P` and the gradient `dO`: `dV = Pᵀ·dO`, `dP = dO·Vᵀ`,
/// `dS = P ⊙ (dP − rowsum(dO ⊙ O))`, `dQ = dS·K / √d`, `dK = dSᵀ·Q / √d`.
fn head_backward(sizes: Sizes, saved: Saved, head: usize) -> [Vec<f32>; 3] {
    let Sizes { tokens, dim, .. } = sizes;
    let [queries, keys, v] = [0, 1, 2].map(|part| sizes.part(saved.qkv, part, head));
    let grad = sizes.output(saved.grad, head);
    let logs = &saved.logs[head * tokens..][..tokens];
    let rows = sizes.rows();
    let [mut probabilities, mut ds] = [vec![0.0; rows * tokens], vec![0.0; rows * tokens]];
    let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![0.0; tokens * dim]);
    for (block, (dq, logs)) in dq.chunks_mut(rows * dim).zip(logs.chunks(rows)).enumerate() {
        let (first, count) = (block * rows, logs.len());
        let (p, ds) = (
            &mut probabilities[..count * tokens],
            &mut ds[..count * tokens],
        );
        let (q, grad) = (
            queries.some_rows(first, count),
            grad.some_rows(first, count),
        );
        q.times_into(keys.transposed(), p);
        grad.times_into(v.transposed(), ds);
        let place = |row: usize| (first + row) * sizes.width() + head * dim;
        run(Scores {
            scale: sizes.scale(),
            p,
            ds,
            logs,
            dots: &|row| {
                let [grad, output] =
                    [saved.grad, saved.output].map(|all| &all[place(row)..][..dim]);
                let pairs = grad.iter().zip(output);
                pairs.map(|(grad, output)| grad * output).sum()
            },
        });
        let [p, ds] = [&*p, &*ds].map(|values| Matrix::new(values, [count, tokens]));
        p.transposed().add_into(grad, &mut dv);
        ds.times_into(keys, dq);
        ds.transposed().add_into(q, &mut dk);
    }
    [dq, dk, dv]
}

/// Turns scores into probabilities, and writes the logarithms of the sums.
struct Softmax<'a> {
    scale: f32,
    /// `[rows, tokens]`.
    scores: &'a mut [f32],
    logs: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let tokens = self.scores.len() / self.logs.len();
        for (row, log) in self.scores.chunks_exact_mut(tokens).zip(self.logs) {
            let most = largest(s, row) * self.scale;
            let (scale, shift) = (s.splat(self.scale), s.splat(-most));
            let mut sum = s.splat(0.0);
            let mut chunks = row.chunks_exact_mut(S::LANES);
            for chunk in &mut chunks {
                let value = s.exp(s.mul_add(s.load(chunk), scale, shift));
                sum = s.add(sum, value);
                s.store(value, chunk);
            }
            let rest = chunks.into_remainder();
            s.store_part(s.exp(s.mul_add(s.load_part(rest), scale, shift)), rest);
            let sum = s.sum(sum) + rest.iter().sum::<f32>();
            *log = most + sum.ln();
            let factor = s.splat(1.0 / sum);
            let mut chunks = row.chunks_exact_mut(S::LANES);
            for chunk in &mut chunks {
                s.store(s.mul(s.load(chunk), factor), chunk);
            }
            let rest = chunks.into_remainder();
            s.store_part(s.mul(s.load_part(rest), factor), rest);
        }
    }
}

/// The largest of some values.
#[inline(always)]
fn largest<S: Simd>(s: S, values: &[f32]) -> f32 {
    let mut most = s.splat(f32::NEG_INFINITY);
    let mut chunks = values.chunks_exact(S::LANES);
    for chunk in &mut chunks {
        most = s.max(most, s.load(chunk));
    }
    let mut all = [f32::NEG_INFINITY; 16];
    s.store(most, &mut all);
    let all = all.iter().chain(chunks.remainder());
    all.copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Turns scores into probabilities again, and the gradients of probabilities into those of products.
struct Scores<'a> {
    scale: f32,
    /// `[rows, tokens]`: scores, then probabilities.
    p: &'a mut [f32],
    /// `[rows, tokens]`: gradients of the probabilities, then those of `Q·Kᵀ`.
    ds: &'a mut [f32],
    logs: &'a [f32],
    /// The product of a row of the output with its gradient.
    dots: &'a dyn Fn(usize) -> f32,
}

impl Kernel for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let tokens = self.p.len() / self.logs.len();
        let rows = self
            .p
            .chunks_exact_mut(tokens)
            .zip(self.ds.chunks_exact_mut(tokens));
        for (row, ((p, ds), log)) in rows.zip(self.logs).enumerate() {
            let (scale, shift) = (s.splat(self.scale), s.splat(-log));
            let dot = s.splat((self.dots)(row));
            let numbers = [scale, shift, dot];
            let mut at = 0;
            while at + S::LANES <= tokens {
                let (new_p, new_ds) = pair(s, s.load(&p[at..]), s.load(&ds[at..]), numbers);
                s.store(new_p, &mut p[at..]);
                s.store(new_ds, &mut ds[at..]);
                at += S::LANES;
            }
            let (p_rest, ds_rest) = (s.load_part(&p[at..]), s.load_part(&ds[at..]));
            let (new_p, new_ds) = pair(s, p_rest, ds_rest, numbers);
            s.store_part(new_p, &mut p[at..]);
            s.store_part(new_ds, &mut ds[at..]);
        }
    }
}

/// Probabilities from scores, and the gradients of the products from those of the probabilities. A closure
/// would be compiled for the baseline, and each of its operations be a call.
#[inline(always)]
fn pair<S: Simd>(s: S, p: S::V, ds: S::V, [scale, shift, dot]: [S::V; 3]) -> (S::V, S::V) {
    let p = s.exp(s.mul_add(p, scale, shift));
    (p, s.mul(s.mul(p, s.sub(ds, dot)), scale))
}
