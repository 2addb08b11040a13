//! Gradient clipping.

use std::collections::HashSet;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;

use super::readout::scalar;

/// Scales gradients down to the norm `limit`, taken over all of them together, if theirs is larger:
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

/// The norm of the gradients of all parameters together.
fn norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    let mut squares = Squares {
        gradients,
        seen: HashSet::new(),
        sum: 0.0,
    };
    model.visit(&mut squares);
    squares.sum.sqrt()
}

/// Multiplies every gradient by `factor`.
pub(super) fn scaled<M: Module>(
    model: &M,
    mut gradients: GradientsParams,
    factor: f64,
) -> GradientsParams {
    model.visit(&mut Scale {
        gradients: &mut gradients,
        seen: HashSet::new(),
        factor,
    });
    gradients
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    /// A shared tensor is visited several times.
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
        /// The same parameter as `matrix`.
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
    fn clipping_agrees_with_pytorch() {
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
