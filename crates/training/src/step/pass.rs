//! From batches to the gradients of a step.

use std::collections::HashSet;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use finetune_data::DataError;
use finetune_kernels::linear::{self, OuterProducts};
use finetune_methods::Dynamics;

use crate::classifier::{Classifier, count_right};
use crate::error::TrainingError;
use crate::features::frozen::Input;
use crate::step::loss::{CrossEntropy, Target};
use crate::step::optimizer::StepGradients;
use crate::step::segments::{Draws, Segments, forward};

/// The gradients of a step, and what was seen on the way.
pub(crate) struct Pass {
    pub(crate) gradients: StepGradients,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
    /// Images that were right.
    pub(crate) right: usize,
    /// Images.
    pub(crate) images: usize,
}

/// How batches become the gradients of a step.
#[derive(Debug)]
pub(crate) struct Passes<'a> {
    /// Batches a step.
    pub(crate) accumulate: usize,
    pub(crate) criterion: &'a CrossEntropy,
    /// Whether gradients of large weights stay products where that saves memory. Only an optimiser's
    /// step of a single batch knows what to do with them: nothing may clip, add or look at them.
    pub(crate) outer: bool,
    /// What is computed twice to save memory.
    pub(crate) segments: Segments,
    pub(crate) draws: Draws,
}

/// Runs the next batches of a step forward and backward; `None` where there are none left.
///
/// Several batches give the gradients of one that holds them all, but for what `BatchNorm` computes
/// from a batch.
///
/// # Errors
///
/// An image that cannot be read.
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
    let (mut loss_sum, mut count_sum, mut right, mut images) = (0.0, 0.0, 0, 0);
    for (number, batch) in batches.take(*accumulate).enumerate() {
        let Input {
            given,
            labels,
            soft,
        } = batch?;
        let (logits, rest) = forward(model, given, segments, draws.of_batch(step, number));
        right += count_right(&logits, &labels);
        images += labels.dims()[0];
        let target = Target::of(labels, soft);
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
        right,
        images,
    }))
}

/// Scales gradients down where their norm, over all of them, is above `limit`: as
/// `torch.nn.utils.clip_grad_norm_`.
pub(crate) fn clipped<M: Module>(
    model: &M,
    gradients: GradientsParams,
    limit: f64,
) -> GradientsParams {
    let factor = limit / (norm(model, &gradients) + 1e-6);
    if factor < 1.0 {
        scaled(model, gradients, factor)
    } else {
        gradients
    }
}

/// The norm of all gradients of a model's parameters together.
fn norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    let mut squares = Squares {
        gradients,
        seen: HashSet::new(),
        sum: 0.0,
    };
    model.visit(&mut squares);
    squares.sum.sqrt()
}

fn scaled<M: Module>(model: &M, mut gradients: GradientsParams, factor: f64) -> GradientsParams {
    model.visit(&mut Scale {
        gradients: &mut gradients,
        seen: HashSet::new(),
        factor,
    });
    gradients
}

pub(crate) fn scalar(tensor: &Tensor<1>) -> f64 {
    let data = tensor.clone().into_data();
    data.iter::<f64>().next().unwrap_or(f64::NAN)
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    /// A shared tensor is met several times.
    seen: HashSet<ParamId>,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id)
            && self.seen.insert(param.id)
        {
            self.sum += scalar(&gradient.square().sum());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    seen: HashSet<ParamId>,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.seen.insert(param.id)
            && let Some(gradient) = self.gradients.remove::<D>(param.id)
        {
            let scaled = gradient.mul_scalar(self.factor);
            self.gradients.register(param.id, scaled);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use serde::Deserialize;

    use super::*;

    #[derive(Module, Debug)]
    struct Net {
        matrix: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
        /// The matrix again, under the same identity.
        tied: Param<Tensor<2>>,
    }

    #[derive(Deserialize)]
    struct Fixture {
        clipping: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        limit: f64,
        norm: f64,
        matrix: Vec<f32>,
        bias: Vec<f32>,
    }

    #[allow(clippy::cast_precision_loss)]
    fn wave<const D: usize>(shape: [usize; D], speed: f32, device: &Device) -> Tensor<D> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * speed).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    #[test]
    fn clipping_is_pytorchs() {
        let device = Device::flex();
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/recipe.json")).unwrap();
        assert_eq!(fixture.clipping.len(), 2);
        let matrix = Param::from_tensor(Tensor::<2>::zeros([2, 3], &device));
        let net = Net {
            tied: matrix.clone(),
            matrix,
            bias: Param::from_tensor(Tensor::zeros([3], &device)),
        };
        for case in fixture.clipping {
            let mut gradients = GradientsParams::new();
            gradients.register(net.matrix.id, wave([2, 3], 0.7, &device));
            gradients.register(net.bias.id, wave([3], 1.3, &device));
            assert!((norm(&net, &gradients) - case.norm).abs() < 1e-6);
            let clipped = clipped(&net, gradients, case.limit);
            let matrix = clipped.get::<2>(net.matrix.id).unwrap().into_data();
            let bias = clipped.get::<1>(net.bias.id).unwrap().into_data();
            let found = matrix.iter::<f32>().chain(bias.iter::<f32>());
            for (found, wanted) in found.zip(case.matrix.iter().chain(&case.bias)) {
                assert!((found - wanted).abs() < 1e-6, "{found} instead of {wanted}");
            }
        }
    }
}
