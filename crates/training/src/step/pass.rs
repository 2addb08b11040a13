//! Forward and backward pass: from batches to the gradients of a step.

use burn::optim::{GradientsAccumulator, GradientsParams};
use finetune_data::DataError;
use finetune_kernels::linear::{self, OuterProducts};
use finetune_methods::Dynamics;

use super::clip::scaled;
use super::draws::Draws;
use super::gradients::StepGradients;
use super::loss::{CrossEntropy, Target};
use super::readout::{count_correct, scalar};
use super::segments::{Segments, forward};
use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::features::Input;

/// The gradients of a step, and how well the model did on its images.
pub(crate) struct Pass {
    pub(crate) gradients: StepGradients,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
    /// The number of correctly classified images.
    pub(crate) correct: usize,
    /// The number of images.
    pub(crate) images: usize,
}

/// How batches become the gradients of a step.
#[derive(Debug)]
pub(crate) struct Passes<'a> {
    /// Batches per step.
    pub(crate) accumulate: usize,
    pub(crate) criterion: &'a CrossEntropy,
    /// Whether the gradient of a large weight may stay an outer product, which saves memory. Only
    /// the optimiser can use it then: nothing may clip, add or read the gradients.
    pub(crate) outer: bool,
    /// The segments that run twice to save memory.
    pub(crate) segments: Segments,
    pub(crate) draws: Draws,
}

/// Runs the next batches forward and backward, as many as a step has; `None` if there are none
/// left.
///
/// Several batches give the gradients of one batch that holds all their images, except for the
/// statistics of `BatchNorm`.
///
/// # Errors
///
/// [`TrainingError::Data`] if an image cannot be read.
pub(crate) fn pass<M: Classifier>(
    model: &M,
    batches: &mut impl Iterator<Item = Result<Input, DataError>>,
    step: usize,
    passes: &Passes<'_>,
    dynamics: Option<&Dynamics>,
) -> Result<Option<Pass>, TrainingError> {
    let Passes {
        accumulate,
        criterion,
        outer,
        segments,
        draws,
    } = passes;
    let mut sum = GradientsAccumulator::new();
    let mut products = OuterProducts::default();
    let (mut loss_sum, mut count_sum, mut correct, mut images) = (0.0, 0.0, 0, 0);
    for (number, batch) in batches.take(*accumulate).enumerate() {
        let Input {
            start,
            labels,
            shares,
        } = batch?;
        let (logits, rest) = forward(model, start, segments, draws.of_batch(step, number));
        correct += count_correct(&logits, &labels);
        images += labels.dims()[0];
        let target = Target::of(labels, shares);
        let count = criterion.count(&target);
        let loss = criterion.mean(logits, &target);
        loss_sum += count * scalar(&loss);
        count_sum += count;
        let loss = match dynamics.and_then(|dynamics| dynamics.penalty(model)) {
            Some(penalty) => loss + penalty,
            None => loss,
        };
        let loss = if *accumulate == 1 { loss } else { loss * count };
        let mut gradients = if *outer {
            let gradients;
            (gradients, products) = linear::backward(&loss);
            gradients
        } else {
            loss.backward()
        };
        sum.accumulate(model, GradientsParams::from_module(&mut gradients, model));
        if let Some(rest) = rest {
            rest.backward(model, gradients, |found| sum.accumulate(model, found));
        }
    }
    if images == 0 {
        return Ok(None);
    }
    let whole = if *accumulate == 1 {
        sum.grads()
    } else {
        scaled(model, sum.grads(), 1.0 / count_sum)
    };
    let gradients = StepGradients {
        whole,
        outer: products,
    };
    Ok(Some(Pass {
        gradients,
        loss: loss_sum / count_sum,
        correct,
        images,
    }))
}
