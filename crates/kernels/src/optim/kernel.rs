//! The optimiser steps on flex buffers.

use burn::backend::Flex;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::backend::Gradient;
use super::{Adam, Sgd};
use crate::lanes::{Loop, widest};
use crate::linear::product::Matrix;
use crate::memory::{values, whole};

/// Number of entries per task: 64 KiB of each tensor, so that they fit into the cache of a core.
const CHUNK: usize = 1 << 14;

/// Number of entries of a piece of a product: 256 KiB.
const PIECE: usize = 1 << 16;

impl Gradient<Flex> {
    /// The gradient in row-major order.
    fn in_row_order(self) -> Self {
        match self {
            Self::Whole(gradient) => Self::Whole(whole(gradient)),
            Self::Outer(x, gradient) => Self::Outer(whole(x), whole(gradient)),
        }
    }

    /// # Panics
    ///
    /// If one of the others has another shape; the parameter of a product may be flat.
    fn fits(&self, others: &[&FlexTensor]) {
        let shape = match self {
            Self::Whole(gradient) => gradient.layout().shape().to_vec(),
            Self::Outer(x, gradient) => vec![x.layout().shape()[1], gradient.layout().shape()[1]],
        };
        let flat = matches!(self, Self::Outer(..)).then(|| vec![shape.iter().product()]);
        for other in others {
            let other = other.layout().shape().to_vec();
            assert!(
                other == shape || Some(&other) == flat.as_ref(),
                "a parameter, its gradient and its moments have one shape, not {other:?} and {shape:?}"
            );
        }
    }

    fn pieces(&self) -> Pieces<'_> {
        match self {
            Self::Whole(gradient) => Pieces::Whole(values(gradient)),
            Self::Outer(x, gradient) => Pieces::Outer(Matrix::of(x), Matrix::of(gradient)),
        }
    }
}

/// A gradient that is read or computed piece by piece.
enum Pieces<'a> {
    Whole(&'a [f32]),
    Outer(Matrix<'a>, Matrix<'a>),
}

impl Pieces<'_> {
    /// Number of entries of each piece but the last.
    fn size(&self) -> usize {
        match self {
            Self::Whole(_) => CHUNK,
            Self::Outer(_, gradient) => self.rows() * gradient.columns(),
        }
    }

    /// Number of rows of the pieces of a product.
    fn rows(&self) -> usize {
        match self {
            Self::Whole(_) => 0,
            Self::Outer(_, gradient) => (PIECE / gradient.columns().max(1)).max(1),
        }
    }

    /// Piece `number`, which has `len` entries.
    fn at<'s>(&'s self, number: usize, len: usize, made: &'s mut Vec<f32>) -> &'s [f32] {
        match self {
            Self::Whole(gradient) => &gradient[number * CHUNK..][..len],
            Self::Outer(x, gradient) => {
                made.resize(len, 0.0);
                let rows = len / gradient.columns();
                let x = x.some_columns(number * self.rows(), rows);
                x.transposed().times_into(*gradient, made);
                made
            }
        }
    }
}

/// See [`adam`](super::adam()); all tensors hold `f32`.
pub(super) fn adam(
    parameter: FlexTensor,
    gradient: Gradient<Flex>,
    first: FlexTensor,
    second: FlexTensor,
    step: Adam,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let gradient = gradient.in_row_order();
    let [mut parameter, mut first, mut second] = [parameter, first, second].map(whole);
    gradient.fits(&[&parameter, &first, &second]);
    let pieces = gradient.pieces();
    let numbers = AdamNumbers::of(&step);
    let (p, m, v): (&mut [f32], &mut [f32], &mut [f32]) = (
        parameter.storage_mut(),
        first.storage_mut(),
        second.storage_mut(),
    );
    let size = pieces.size();
    p.par_chunks_mut(size)
        .zip(m.par_chunks_mut(size))
        .zip(v.par_chunks_mut(size))
        .enumerate()
        .for_each_init(Vec::new, |made, (number, ((p, m), v))| {
            let g = pieces.at(number, p.len(), made);
            widest(AdamLoop {
                p,
                m,
                v,
                g,
                numbers,
            });
        });
    (parameter, first, second)
}

/// See [`sgd`](super::sgd()); all tensors hold `f32`.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn sgd(
    parameter: FlexTensor,
    gradient: Gradient<Flex>,
    velocity: FlexTensor,
    step: Sgd,
) -> (FlexTensor, FlexTensor) {
    let gradient = gradient.in_row_order();
    let [mut parameter, mut velocity] = [parameter, velocity].map(whole);
    gradient.fits(&[&parameter, &velocity]);
    let pieces = gradient.pieces();
    let size = pieces.size();
    let numbers = [step.learning_rate, step.momentum, step.weight_decay].map(|x| x as f32);
    let (p, b): (&mut [f32], &mut [f32]) = (parameter.storage_mut(), velocity.storage_mut());
    p.par_chunks_mut(size)
        .zip(b.par_chunks_mut(size))
        .enumerate()
        .for_each_init(Vec::new, |made, (number, (p, b))| {
            let g = pieces.at(number, p.len(), made);
            widest(SgdLoop { p, b, g, numbers });
        });
    (parameter, velocity)
}

/// The coefficients of a step of Adam.
#[derive(Clone, Copy)]
struct AdamNumbers {
    /// Factor of the parameter in its gradient (coupled decay).
    coupled: f32,
    /// Factor of the parameter (decoupled decay).
    keep: f32,
    /// `1 − β₁`.
    first: f32,
    /// `β₂` and `1 − β₂`.
    second: [f32; 2],
    /// `η·√(1 − β₂ᵗ)/(1 − β₁ᵗ)`.
    size: f32,
    /// `ε·√(1 − β₂ᵗ)`.
    epsilon: f32,
}

impl AdamNumbers {
    #[allow(clippy::cast_possible_truncation)]
    fn of(step: &Adam) -> Self {
        let (size, root) = step.corrections();
        let [beta_1, beta_2] = step.betas;
        let (coupled, keep) = if step.decoupled {
            (0.0, 1.0 - step.learning_rate * step.weight_decay)
        } else {
            (step.weight_decay, 1.0)
        };
        Self {
            coupled: coupled as f32,
            keep: keep as f32,
            first: (1.0 - beta_1) as f32,
            second: [beta_2 as f32, (1.0 - beta_2) as f32],
            size: (size * root) as f32,
            epsilon: (step.epsilon * root) as f32,
        }
    }
}

struct AdamLoop<'a> {
    p: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    g: &'a [f32],
    numbers: AdamNumbers,
}

impl Loop for AdamLoop<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // so that it is compiled for the instruction set
    fn run(self) {
        let n = self.numbers;
        let entries = self.p.iter_mut().zip(self.m).zip(self.v).zip(self.g);
        for (((p, m), v), g) in entries {
            let g = *g + n.coupled * *p;
            *m += n.first * (g - *m);
            *v = n.second[0] * *v + n.second[1] * g * g;
            *p = n.keep * *p - n.size * *m / (v.sqrt() + n.epsilon);
        }
    }
}

struct SgdLoop<'a> {
    p: &'a mut [f32],
    b: &'a mut [f32],
    g: &'a [f32],
    /// Learning rate, momentum, weight decay.
    numbers: [f32; 3],
}

impl Loop for SgdLoop<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // so that it is compiled for the instruction set
    fn run(self) {
        let [rate, momentum, decay] = self.numbers;
        for ((p, b), g) in self.p.iter_mut().zip(self.b).zip(self.g) {
            *b = momentum * *b + (*g + decay * *p);
            *p -= rate * *b;
        }
    }
}
