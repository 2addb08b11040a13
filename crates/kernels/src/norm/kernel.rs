//! Normalisation, residual and activation in one pass, and their backward pass.
//!
//! A task owns some channels. The forward pass in training reads them for the mean, again (from its
//! cache) for the variance, and writes the output. The variance is computed from the differences
//! from the mean, so that a mean far from 0 costs no precision. The backward pass reads once for
//! the two sums that the gradient of a channel needs, and again to write the gradient.

#![allow(clippy::inline_always)] // so that they are compiled for the instruction set

use std::mem::MaybeUninit;

use super::activation::Curve;
use super::blocks::{Blocks, RUN, Row};
use super::mask;
use crate::lanes::Loop;

/// The coefficients of the normalisation `(x − mean)·scale + shift` of each channel.
#[derive(Debug, Clone)]
pub(super) struct Scaling {
    pub(super) mean: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Scaling {
    /// The coefficients of a task, for each value of a run.
    fn spread(&self, blocks: &Blocks, task: usize) -> Self {
        Self {
            mean: blocks.spread(task, &self.mean),
            scale: blocks.spread(task, &self.scale),
            shift: blocks.spread(task, &self.shift),
        }
    }

    #[inline(always)]
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        let count = x.len();
        let numbers = self.mean[..count].iter().zip(&self.scale[..count]);
        let numbers = numbers.zip(&self.shift[..count]);
        for ((out, x), ((mean, scale), shift)) in out.iter_mut().zip(x).zip(numbers) {
            *out = (x - mean) * scale + shift;
        }
    }
}

/// Computes mean and (biased) variance of the channels of a task.
pub(super) struct Moments<'a> {
    pub(super) blocks: Blocks,
    pub(super) task: usize,
    pub(super) rows: &'a [&'a [f32]],
}

impl Loop for Moments<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn run(self) -> Self::Output {
        let Self { blocks, task, rows } = self;
        let run = blocks.run(task);
        let samples = blocks.samples() as f64;
        let mean_of = |sums: &[f32]| -> Vec<f32> {
            let sums = blocks.gather(sums).into_iter();
            sums.map(|sum| (sum / samples) as f32).collect()
        };
        let mut sums = [0.0; RUN];
        let sums = &mut sums[..run];
        for values in rows.iter().flat_map(|row| row.chunks(run)) {
            for (sum, x) in sums.iter_mut().zip(values) {
                *sum += x;
            }
        }
        let means = mean_of(sums);
        let first = blocks.channels(task).start;
        let mut all = vec![0.0; blocks.channels(task).end];
        all[first..].copy_from_slice(&means);
        let spread = blocks.spread(task, &all);
        sums.fill(0.0);
        for values in rows.iter().flat_map(|row| row.chunks(run)) {
            for ((sum, x), mean) in sums.iter_mut().zip(values).zip(&spread) {
                let distance = x - mean;
                *sum += distance * distance;
            }
        }
        (means, mean_of(sums))
    }
}

/// Computes the output of the channels of a task.
pub(super) struct Forward<'a, C> {
    pub(super) blocks: Blocks,
    pub(super) task: usize,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) residual: Option<Vec<&'a [f32]>>,
    pub(super) scaling: &'a Scaling,
    pub(super) curve: C,
    /// Whether to record where the derivative is 1.
    pub(super) mask: bool,
}

impl<C: Curve> Loop for Forward<'_, C> {
    /// The mask; empty if none is recorded.
    type Output = Vec<u32>;

    #[inline(always)]
    fn run(self) -> Vec<u32> {
        let run = self.blocks.run(self.task);
        let scaling = self.scaling.spread(&self.blocks, self.task);
        let curve = self.curve;
        let mut bits = Vec::new();
        let mut made = [0.0; RUN];
        for (image, mut row) in self.rows.into_iter().enumerate() {
            let length = row.values().len();
            for place in (0..length).step_by(run) {
                let end = (place + run).min(length);
                let out = &mut made[..end - place];
                scaling.apply(&row.values()[place..end], out);
                if let Some(residual) = &self.residual {
                    for (out, residual) in out.iter_mut().zip(&residual[image][place..end]) {
                        *out += residual;
                    }
                }
                if self.mask {
                    let start = bits.len();
                    bits.resize(start + mask::words(out.len()), 0);
                    mask::pack(out, &mut bits[start..], curve);
                }
                for out in out.iter_mut() {
                    *out = curve.value(*out);
                }
                row.put(place, out);
            }
        }
        bits
    }
}

/// The source of the derivative of the activation.
#[derive(Clone, Copy)]
pub(super) enum Slope<'a> {
    /// The derivative is 1.
    One,
    /// The mask of the forward pass.
    Mask(&'a [u32]),
    /// It is computed again from the input.
    Input,
}

/// Computes the gradients of the channels of a task.
pub(super) struct Backward<'a, C> {
    pub(super) blocks: Blocks,
    pub(super) task: usize,
    /// The gradient of the output, which is replaced by that of the input.
    pub(super) rows: Vec<Row<'a>>,
    /// The input, if it is needed.
    pub(super) input: Option<Vec<&'a [f32]>>,
    pub(super) scaling: &'a Scaling,
    /// `1/√(variance + ε)` of each channel.
    pub(super) inverse: &'a [f32],
    pub(super) curve: C,
    pub(super) slope: Slope<'a>,
    /// Whether mean and variance are those of the batch, and so depend on the input.
    pub(super) of_batch: bool,
    /// Whether the sums are needed. They take an additional pass if nothing else needs one.
    pub(super) sums: bool,
    /// The buffer for the gradient of the residual, if it differs from that of the output.
    pub(super) residual: Option<Vec<&'a mut [MaybeUninit<f32>]>>,
}

/// Sums for the channels of a task.
pub(super) struct Sums {
    /// Gradient of the scale (γ); 0 without the input.
    pub(super) scale: Vec<f32>,
    /// Gradient of the shift (β).
    pub(super) shift: Vec<f32>,
}

impl<C: Curve> Backward<'_, C> {
    /// Computes the gradient before the activation, for one run.
    #[inline(always)]
    fn before(
        &self,
        scaling: &Scaling,
        gradient: &[f32],
        input: Option<&[f32]>,
        words: &[u32],
        out: &mut [f32],
    ) {
        match (self.slope, input) {
            (Slope::Mask(_), _) => mask::select(gradient, words, out),
            (Slope::Input, Some(x)) => {
                scaling.apply(x, out);
                for (out, gradient) in out.iter_mut().zip(gradient) {
                    let slope = self.curve.slope(*out);
                    *out = if C::STEPS {
                        if slope == 0.0 { 0.0 } else { *gradient }
                    } else {
                        slope * gradient
                    };
                }
            }
            _ => out.copy_from_slice(gradient),
        }
    }

    /// The words of the mask for the run that starts at index `place` of an image's row.
    #[inline(always)]
    fn words(&self, image: usize, row: usize, place: usize) -> &[u32] {
        let Slope::Mask(words) = self.slope else {
            return &[];
        };
        let run = self.blocks.run(self.task);
        let whole = mask::words(run);
        let a_row = row / run * whole + mask::words(row % run);
        &words[image * a_row + place / run * whole..]
    }
}

impl<C: Curve> Loop for Backward<'_, C> {
    type Output = Sums;

    #[inline(always)]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn run(mut self) -> Sums {
        let blocks = self.blocks;
        let run = blocks.run(self.task);
        let scaling = self.scaling.spread(&blocks, self.task);
        let mut rows = std::mem::take(&mut self.rows);
        let mut residual = std::mem::take(&mut self.residual);
        let input = std::mem::take(&mut self.input);

        let (mut shift, mut scale) = ([0.0; RUN], [0.0; RUN]);
        let (shift, scale) = (&mut shift[..run], &mut scale[..run]);
        let mut before = [0.0; RUN];
        let summed = if self.sums { &rows[..] } else { &[] };
        for (image, row) in summed.iter().enumerate() {
            let gradient = row.values();
            let length = gradient.len();
            for (index, gradient) in gradient.chunks(run).enumerate() {
                let place = index * run;
                let x = input
                    .as_ref()
                    .map(|rows| &rows[image][place..place + gradient.len()]);
                let before = &mut before[..gradient.len()];
                let words = self.words(image, length, place);
                self.before(&scaling, gradient, x, words, before);
                for (sum, g) in shift.iter_mut().zip(&*before) {
                    *sum += g;
                }
                if let Some(x) = x {
                    let centred = x.iter().zip(&scaling.mean);
                    for ((sum, g), (x, mean)) in scale.iter_mut().zip(&*before).zip(centred) {
                        *sum += g * (x - mean);
                    }
                }
            }
        }
        let channels = blocks.channels(self.task);
        let (sum_shift, sum_scale) = (blocks.gather(shift), blocks.gather(scale));
        let inverses = &self.inverse[channels.clone()];
        let sums = Sums {
            shift: sum_shift.iter().map(|sum| *sum as f32).collect(),
            scale: (sum_scale.iter().zip(inverses))
                .map(|(sum, inverse)| (sum * f64::from(*inverse)) as f32)
                .collect(),
        };

        // dx = scale·(g − mean(g) − x̂·mean(g·x̂)); the two means are 0 if the statistics are
        // fixed.
        let samples = blocks.samples() as f64;
        let mut of_channel = [vec![0.0; channels.end], vec![0.0; channels.end]];
        if self.of_batch {
            for (index, channel) in channels.enumerate() {
                let inverse = f64::from(self.inverse[channel]);
                of_channel[0][channel] = (sum_shift[index] / samples) as f32;
                of_channel[1][channel] = (sum_scale[index] / samples * inverse * inverse) as f32;
            }
        }
        let [mean_shift, mean_scale] = of_channel.map(|values| blocks.spread(self.task, &values));
        for (image, row) in rows.iter_mut().enumerate() {
            let length = row.values().len();
            for place in (0..length).step_by(run) {
                let end = (place + run).min(length);
                let out = &mut before[..end - place];
                let gradient = &row.values()[place..end];
                let x = input.as_ref().map(|rows| &rows[image][place..end]);
                let words = self.words(image, length, place);
                self.before(&scaling, gradient, x, words, out);
                if let Some(kept) = &mut residual {
                    kept[image][place..end].write_copy_of_slice(out);
                }
                match x {
                    Some(x) if self.of_batch => {
                        let centred = x.iter().zip(&scaling.mean);
                        let means = mean_shift.iter().zip(&mean_scale);
                        let numbers = centred.zip(means).zip(&scaling.scale);
                        for (out, (((x, mean), (shift, slope)), scale)) in
                            out.iter_mut().zip(numbers)
                        {
                            *out = scale * (*out - shift - (x - mean) * slope);
                        }
                    }
                    _ => {
                        for (out, scale) in out.iter_mut().zip(&scaling.scale) {
                            *out *= scale;
                        }
                    }
                }
                row.put(place, out);
            }
        }
        sums
    }
}
