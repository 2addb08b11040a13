//! Compares layers with factors with `W·x + B·(A·x)` by Burn's operations: values and gradients, in
//! all forms.

use burn::Tensor;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, module};
use finetune_kernels::adapted::{Factors, Form, conv2d, linear};
use proptest::prelude::*;

/// The tensors of a layer with factors, and whether each has a gradient.
#[derive(Debug, Clone)]
struct Inputs<const D: usize, const W: usize> {
    x: Tensor<D>,
    weight: Tensor<W>,
    a: Tensor<2>,
    b: Tensor<2>,
    bias: Option<Tensor<1>>,
}

/// Which of `x`, the weight, `A`, `B` and the bias have a gradient.
type Trains = [bool; 5];

fn random<const D: usize>(shape: [usize; D], trains: bool) -> Tensor<D> {
    let device = Device::flex().autodiff();
    let values = Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device);
    values.set_require_grad(trains)
}

impl<const D: usize, const W: usize> Inputs<D, W> {
    fn random(x: [usize; D], weight: [usize; W], factors: [usize; 4], trains: Trains) -> Self {
        let [rows, inputs, outputs, rank] = factors;
        Self {
            x: random(x, trains[0]),
            weight: random(weight, trains[1]),
            a: random([rows, inputs], trains[2]),
            b: random([outputs, rank], trains[3]),
            bias: Some(random([outputs], trains[4])),
        }
    }

    fn factors(&self, form: Form) -> Factors {
        Factors {
            a: self.a.clone(),
            b: self.b.clone(),
            form,
        }
    }

    /// The output and the gradients of what is trained, flattened; `None` for what is not.
    fn outcome(&self, output: &Tensor<D>) -> Vec<Option<Vec<f64>>> {
        fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
            tensor.into_data().iter().collect()
        }
        let mut all = vec![Some(numbers(output.clone()))];
        if [
            self.x.is_require_grad(),
            self.weight.is_require_grad(),
            self.a.is_require_grad(),
            self.b.is_require_grad(),
            self.bias.as_ref().is_some_and(Tensor::is_require_grad),
        ]
        .contains(&true)
        {
            // The gradient of half the square, so that the gradients of the outputs differ.
            let grads = (output.clone() * output.clone()).sum().backward();
            all.push(self.x.grad(&grads).map(numbers));
            all.push(self.weight.grad(&grads).map(numbers));
            all.push(self.a.grad(&grads).map(numbers));
            all.push(self.b.grad(&grads).map(numbers));
            all.push(
                self.bias
                    .as_ref()
                    .and_then(|bias| bias.grad(&grads))
                    .map(numbers),
            );
        }
        all
    }
}

/// Asserts that values differ by at most 1e-5 of the largest.
fn assert_near(found: &[Option<Vec<f64>>], wanted: &[Option<Vec<f64>>]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!(found.is_some(), wanted.is_some());
        let (Some(found), Some(wanted)) = (found, wanted) else {
            continue;
        };
        assert_eq!(found.len(), wanted.len());
        let largest = wanted
            .iter()
            .fold(1e-3, |most: f64, value| most.max(value.abs()));
        for (found, wanted) in found.iter().zip(wanted) {
            let apart = (found - wanted).abs() / largest;
            assert!(apart < 2e-5, "{found} instead of {wanted} of {largest}");
        }
    }
}

fn forms() -> [Form; 3] {
    Form::ALL.map(|(_, form)| form)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_convolution_is_the_sum_of_its_parts(
        groups in prop_oneof![3 => Just(1_usize), 1 => 2..4_usize],
        batch in 1..4_usize,
        channels in (1..12_usize, 1..40_usize),
        size in (3..12_usize, 3..20_usize),
        kernel in (1..4_usize, 1..4_usize),
        stride in (1..3_usize, 1..3_usize),
        padding in 0..2_usize,
        rank in 1..9_usize,
        trains in any::<Trains>(),
        biased: bool,
    ) {
        let (seen, outputs) = (channels.0, channels.1 * groups);
        let x = [batch, seen * groups, size.0, size.1];
        let weight = [outputs, seen, kernel.0, kernel.1];
        let options = ConvOptions::new([stride.0, stride.1], [padding; 2], [1, 1], groups);
        let factors = [groups * rank, seen * kernel.0 * kernel.1, outputs, rank];
        let mut inputs = Inputs::random(x, weight, factors, trains);
        if !biased {
            inputs.bias = None;
        }
        let Inputs { x, weight, a, b, bias } = inputs.clone();
        let a = a.reshape([groups * rank, seen, kernel.0, kernel.1]);
        let down = module::conv2d(x.clone(), a, None, options.clone());
        let mixing = ConvOptions::new([1, 1], [0, 0], [1, 1], groups);
        let up = module::conv2d(down, b.reshape([outputs, rank, 1, 1]), None, mixing);
        let wanted = module::conv2d(x, weight, bias, options.clone()) + up;
        let wanted = inputs.outcome(&wanted);
        for form in forms() {
            let Inputs { x, weight, bias, .. } = inputs.clone();
            let found = conv2d(x, weight, inputs.factors(form), bias, options.clone());
            assert_near(&inputs.outcome(&found), &wanted);
        }
    }

    #[test]
    fn a_fully_connected_layer_is_the_sum_of_its_parts(
        batch in 1..4_usize, tokens in 1..9_usize, inputs in 1..70_usize, outputs in 1..70_usize,
        rank in 1..9_usize,
        trains in any::<Trains>(),
        biased: bool,
    ) {
        let factors = [rank, inputs, outputs, rank];
        let mut layer = Inputs::random([batch, tokens, inputs], [inputs, outputs], factors, trains);
        if !biased {
            layer.bias = None;
        }
        let Inputs { x, weight, a, b, bias } = layer.clone();
        let up = x.clone().matmul(a.transpose().unsqueeze()).matmul(b.transpose().unsqueeze());
        let wanted = layer.outcome(&(module::linear(x, weight, bias) + up));
        for form in forms() {
            let Inputs { x, weight, bias, .. } = layer.clone();
            let found = linear(x, weight, layer.factors(form), bias);
            assert_near(&layer.outcome(&found), &wanted);
        }
    }
}

#[test]
fn without_gradients_it_is_the_same_sum() {
    let device = Device::flex();
    let values = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &device);
    let (x, weight) = (values([5, 6]), values([6, 7]));
    let (a, b) = (values([2, 6]), values([7, 2]));
    let wanted = x
        .clone()
        .matmul(weight.clone() + b.clone().matmul(a.clone()).transpose());
    for form in forms() {
        let (x, weight) = (x.clone(), weight.clone());
        let (a, b) = (a.clone(), b.clone());
        let found = linear(x, weight, Factors { a, b, form }, None);
        let apart = (found - wanted.clone()).abs().max().into_scalar::<f32>();
        assert!(apart < 1e-5, "{apart}");
    }
}

/// A product along so many inputs is computed in parts, for both matrices while a part of the input is in
/// the cache.
#[test]
fn a_layer_with_many_inputs_and_few_rows_is_the_sum_of_its_parts() {
    let (inputs, outputs, rank) = (4100, 9, 3);
    let sizes = [rank, inputs, outputs, rank];
    let layer = Inputs::random(
        [5, inputs],
        [inputs, outputs],
        sizes,
        [true, false, true, true, true],
    );
    let Inputs {
        x,
        weight,
        a,
        b,
        bias,
    } = layer.clone();
    let up = x.clone().matmul(a.transpose()).matmul(b.transpose());
    let wanted = layer.outcome(&(module::linear(x, weight, bias) + up));
    for form in forms() {
        let Inputs {
            x, weight, bias, ..
        } = layer.clone();
        let found = linear(x, weight, layer.factors(form), bias);
        assert_near(&layer.outcome(&found), &wanted);
    }
}

/// With more weights than pixels, a task computes some channels of all images, those of `A` among them.
#[test]
fn a_convolution_with_more_weights_than_pixels_is_the_sum_of_its_parts() {
    for (kernel, stride, groups) in [(3, 1, 1), (3, 2, 1), (3, 1, 2), (1, 1, 1), (5, 1, 1)] {
        let (seen, outputs, rank) = (48 / groups, 100, 4);
        let sizes = [groups * rank, seen * kernel * kernel, outputs, rank];
        let weight = [outputs, seen, kernel, kernel];
        let trains = [true, false, true, true, true];
        let layer = Inputs::random([3, 48, 3, 2], weight, sizes, trains);
        let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1, 1], groups);
        let Inputs {
            x,
            weight,
            a,
            b,
            bias,
        } = layer.clone();
        let down = a.reshape([groups * rank, seen, kernel, kernel]);
        let down = module::conv2d(x.clone(), down, None, options.clone());
        let mixing = ConvOptions::new([1, 1], [0, 0], [1, 1], groups);
        let up = module::conv2d(down, b.reshape([outputs, rank, 1, 1]), None, mixing);
        let wanted = layer.outcome(&(module::conv2d(x, weight, bias, options.clone()) + up));
        for form in forms() {
            let Inputs {
                x, weight, bias, ..
            } = layer.clone();
            let found = conv2d(x, weight, layer.factors(form), bias, options.clone());
            assert_near(&layer.outcome(&found), &wanted);
        }
    }
}
