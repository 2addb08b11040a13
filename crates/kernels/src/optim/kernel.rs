//! The steps on flex's buffers.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::{Adam, Sgd};
use crate::lanes::{Loop, widest};
use crate::memory::whole;

/// Entries of one task: 64 KiB of each tensor, so that what a thread is at stays in its cache.
const CHUNK: usize = 1 << 14;

/// See [`adam`](super::adam()); all of `f32`.
pub(super) fn adam(
    parameter: FlexTensor,
    gradient: FlexTensor,
    first: FlexTensor,
    second: FlexTensor,
    step: Adam,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let gradient = whole(gradient);
    let [mut parameter, mut first, mut second] = [parameter, first, second].map(whole);
    same_shape(&gradient, &[&parameter, &first, &second]);
    let numbers = AdamNumbers::of(&step);
    let (p, m, v): (&mut [f32], &mut [f32], &mut [f32]) = (
        parameter.storage_mut(),
        first.storage_mut(),
        second.storage_mut(),
    );
    p.par_chunks_mut(CHUNK)
        .zip(m.par_chunks_mut(CHUNK))
        .zip(v.par_chunks_mut(CHUNK))
        .zip(gradient.storage::<f32>().par_chunks(CHUNK))
        .for_each(|(((p, m), v), g)| {
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

/// See [`sgd`](super::sgd()); all of `f32`.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn sgd(
    parameter: FlexTensor,
    gradient: FlexTensor,
    velocity: FlexTensor,
    step: Sgd,
) -> (FlexTensor, FlexTensor) {
    let gradient = whole(gradient);
    let [mut parameter, mut velocity] = [parameter, velocity].map(whole);
    same_shape(&gradient, &[&parameter, &velocity]);
    let numbers = [step.learning_rate, step.momentum, step.weight_decay].map(|x| x as f32);
    let (p, b): (&mut [f32], &mut [f32]) = (parameter.storage_mut(), velocity.storage_mut());
    p.par_chunks_mut(CHUNK)
        .zip(b.par_chunks_mut(CHUNK))
        .zip(gradient.storage::<f32>().par_chunks(CHUNK))
        .for_each(|((p, b), g)| widest(SgdLoop { p, b, g, numbers }));
    (parameter, velocity)
}

/// # Panics
///
/// Where one has another shape.
fn same_shape(gradient: &FlexTensor, others: &[&FlexTensor]) {
    for other in others {
        assert_eq!(
            other.layout().shape(),
            gradient.layout().shape(),
            "a parameter, its gradient and its moments have one shape"
        );
    }
}

/// What is the same for all entries of a step of Adam.
#[derive(Clone, Copy)]
struct AdamNumbers {
    /// Factor of the parameter in its gradient.
    coupled: f32,
    /// Factor of the parameter itself.
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
    #[allow(clippy::inline_always)] // or it is not compiled for the instructions
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
    #[allow(clippy::inline_always)] // or it is not compiled for the instructions
    fn run(self) {
        let [rate, momentum, decay] = self.numbers;
        for ((p, b), g) in self.p.iter_mut().zip(self.b).zip(self.g) {
            *b = momentum * *b + (*g + decay * *p);
            *p -= rate * *b;
        }
    }
}
