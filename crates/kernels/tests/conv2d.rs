//! Compares the convolution and its gradients with Burn's, for random shapes.

use burn::Tensor;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, FloatDType, module};
use proptest::prelude::*;

/// Shapes and options of a convolution.
#[derive(Debug, Clone)]
struct Case {
    x: [usize; 4],
    weight: [usize; 4],
    bias: bool,
    options: ConvOptions<2>,
}

/// Output and gradients of one implementation.
struct Outcome {
    output: Tensor<4>,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
}

type Operation = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>;

fn burns(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, o: ConvOptions<2>) -> Tensor<4> {
    module::conv2d(x, weight, bias, o)
}

impl Case {
    /// Values that depend on the seed, the same for both implementations.
    fn values(&self, device: &Device) -> (Tensor<4>, Tensor<4>, Option<Tensor<1>>) {
        let random = |shape: [usize; 4]| {
            Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), device)
        };
        let bias = random([self.weight[0], 1, 1, 1]).reshape([self.weight[0]]);
        (
            random(self.x),
            random(self.weight),
            self.bias.then_some(bias),
        )
    }

    fn run(
        &self,
        operation: Operation,
        (x, weight, bias): (Tensor<4>, Tensor<4>, Option<Tensor<1>>),
    ) -> Outcome {
        let (x, weight) = (x.require_grad(), weight.require_grad());
        let bias = bias.map(Tensor::require_grad);
        let output = operation(
            x.clone(),
            weight.clone(),
            bias.clone(),
            self.options.clone(),
        );
        // The gradient of half the square, so that the gradients of the outputs differ.
        let grads = (output.clone() * output.clone()).sum().backward();
        Outcome {
            output: output.inner(),
            x: x.grad(&grads).expect("a gradient"),
            weight: weight.grad(&grads).expect("a gradient"),
            bias: bias.map(|bias| bias.grad(&grads).expect("a gradient")),
        }
    }
}

/// The largest difference, relative to the largest value.
fn difference<const D: usize>(ours: Tensor<D>, reference: Tensor<D>) -> f64 {
    assert_eq!(ours.dims(), reference.dims());
    let largest = |values: Tensor<D>| {
        let values = values.into_data().convert::<f64>();
        let values = values.try_to_vec::<f64>().expect("numbers");
        values.into_iter().fold(0.0, |largest: f64, value| {
            assert!(value.is_finite());
            largest.max(value.abs())
        })
    };
    largest(ours - reference.clone()) / largest(reference).max(1e-3)
}

fn assert_close(ours: &Outcome, reference: &Outcome) {
    let pair = |a: &Tensor<4>, b: &Tensor<4>| difference(a.clone(), b.clone());
    assert!(pair(&ours.output, &reference.output) < 1e-5);
    assert!(pair(&ours.x, &reference.x) < 1e-5);
    assert!(pair(&ours.weight, &reference.weight) < 1e-5);
    if let (Some(ours), Some(bias)) = (&ours.bias, &reference.bias) {
        // It is a sum over all pixels, whose terms may cancel: they set the scale, not their sum.
        let terms = (reference.output.clone() * 2.0).abs();
        let terms = terms
            .sum_dim(0)
            .sum_dim(2)
            .sum_dim(3)
            .reshape([bias.dims()[0]]);
        let terms = terms.into_data().convert::<f64>();
        let scale = terms.iter::<f64>().fold(0.0, f64::max).max(1e-3);
        let differences = (ours.clone() - bias.clone()).abs().into_data();
        let worst = differences.iter::<f64>().fold(0.0, f64::max);
        assert!(worst / scale < 1e-5, "{worst} of {scale}");
    }
}

prop_compose! {
    fn case()(
        groups in prop_oneof![4 => Just(1_usize), 1 => 2..4_usize],
        depthwise in prop::bool::weighted(0.3),
        pointwise in prop::bool::weighted(0.3),
        batch in 1..4_usize,
        channels in (1..20_usize, prop_oneof![1..6_usize, 1..70_usize]),
        size in (1..20_usize, 1..40_usize),
        kernel in (1..6_usize, 1..6_usize),
        stride in (1..4_usize, 1..4_usize),
        padding in prop::array::uniform4(0..3_usize),
        dilation in (1..3_usize, 1..3_usize),
        bias in any::<bool>(),
    ) -> Case {
        let kernel = if pointwise { (1, 1) } else { kernel };
        let padding = if pointwise { [0; 4] } else { padding };
        let (groups, seen, filters) = if depthwise {
            (channels.1, 1, channels.1)
        } else {
            (groups, channels.0, groups * channels.1)
        };
        let options = ConvOptions::new_with_padding(
            [stride.0, stride.1],
            [(padding[0], padding[1]), (padding[2], padding[3])],
            [dilation.0, dilation.1],
            groups,
        );
        // At least one window must fit into the image.
        let height = size.0.max(dilation.0 * (kernel.0 - 1) + 1);
        let width = size.1.max(dilation.1 * (kernel.1 - 1) + 1);
        Case {
            x: [batch, groups * seen, height, width],
            weight: [filters, seen, kernel.0, kernel.1],
            bias,
            options,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn output_and_gradients_are_those_of_burns_operation(case in case()) {
        let values = case.values(&Device::flex().autodiff());
        let ours = case.run(finetune_kernels::conv2d, values.clone());
        assert_close(&ours, &case.run(burns, values));
    }
}

/// A convolution of 3 to 4 channels.
fn small() -> Case {
    Case {
        x: [2, 3, 7, 6],
        weight: [4, 3, 3, 3],
        bias: true,
        options: ConvOptions::new([2, 1], [1, 1], [1, 1], 1),
    }
}

#[test]
#[allow(deprecated, reason = "ndarray is served as long as Burn has it")]
fn other_backends_and_types_compute_it_with_burns_operation() {
    let case = small();
    #[cfg(feature = "ndarray")]
    {
        let values = case.values(&Device::ndarray().autodiff());
        let ours = case.run(finetune_kernels::conv2d, values.clone());
        assert_close(&ours, &case.run(burns, values));
    }

    let (x, weight, bias) = case.values(&Device::flex().autodiff());
    let double = FloatDType::F64;
    let values = (
        x.cast(double),
        weight.cast(double),
        bias.map(|bias| bias.cast(double)),
    );
    let ours = case.run(finetune_kernels::conv2d, values.clone());
    assert_eq!(ours.x.dtype(), double.into());
    assert_close(&ours, &case.run(burns, values));
}

#[test]
fn gradients_agree_with_finite_differences() {
    let case = small();
    let (x, weight, bias) = case.values(&Device::flex().autodiff());
    let loss = |x: Tensor<4>, weight: Tensor<4>| {
        let y = finetune_kernels::conv2d(x, weight, bias.clone(), case.options.clone());
        (y.clone() * y).sum().into_scalar::<f32>()
    };
    let ours = case.run(
        finetune_kernels::conv2d,
        (x.clone(), weight.clone(), bias.clone()),
    );
    let step = 1e-2_f32;
    for at in [[0_usize, 0, 0, 0], [1, 2, 2, 1], [0, 1, 2, 2]] {
        let bump = |tensor: &Tensor<4>, by: f32| {
            let place = at.map(|index| index..index + 1);
            let value = tensor.clone().slice(place.clone()) + by;
            tensor.clone().slice_assign(place, value)
        };
        let value = |tensor: &Tensor<4>| {
            let one = tensor.clone().slice(at.map(|index| index..index + 1));
            one.into_scalar::<f32>()
        };
        let slope = (loss(bump(&x, step), weight.clone()) - loss(bump(&x, -step), weight.clone()))
            / (2.0 * step);
        assert!((slope - value(&ours.x)).abs() < 1e-2 * slope.abs().max(1.0));
        let slope = (loss(x.clone(), bump(&weight, step)) - loss(x.clone(), bump(&weight, -step)))
            / (2.0 * step);
        assert!((slope - value(&ours.weight)).abs() < 1e-2 * slope.abs().max(1.0));
    }
}

#[test]
fn untracked_tensors_get_no_gradient() {
    let case = small();
    let (x, weight, _) = case.values(&Device::flex().autodiff());
    let run = |x: Tensor<4>, weight: Tensor<4>| {
        let y = finetune_kernels::conv2d(x.clone(), weight.clone(), None, case.options.clone());
        let grads = y.sum().backward();
        (x.grad(&grads).is_some(), weight.grad(&grads).is_some())
    };
    assert_eq!(run(x.clone().require_grad(), weight.clone()), (true, false));
    assert_eq!(run(x, weight.require_grad()), (false, true));
}

#[test]
#[should_panic(expected = "cannot have 4 filters of 2 channels")]
fn channels_that_do_not_match_cause_a_panic() {
    let device = Device::flex();
    let x = Tensor::<4>::zeros([1, 3, 5, 5], &device);
    let weight = Tensor::<4>::zeros([4, 2, 3, 3], &device);
    let _ = finetune_kernels::conv2d(x, weight, None, ConvOptions::new([1; 2], [0; 2], [1; 2], 1));
}
