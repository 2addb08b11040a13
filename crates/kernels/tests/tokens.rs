//! Compares the operations on tokens with Burn's, in f64: values and gradients.

use burn::Tensor;
use burn::tensor::activation::{self, softmax};
use burn::tensor::{Device, Distribution, FloatDType};
use finetune_kernels::tokens::{attention, gelu, layer_norm};
use proptest::prelude::*;

fn random<const D: usize>(shape: [usize; D], distribution: Distribution) -> Tensor<D> {
    Tensor::random(shape, distribution, &Device::flex().autodiff())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().iter().collect()
}

/// A copy with its own gradient, in f64 if asked for.
fn leaf<const D: usize>(tensor: &Tensor<D>, double: bool) -> Tensor<D> {
    let tensor = tensor.clone().detach();
    let tensor = if double {
        tensor.cast(FloatDType::F64)
    } else {
        tensor
    };
    tensor.require_grad()
}

/// The gradients of half of the squares of the outputs, so that those of the outputs differ.
fn backward<const D: usize>(y: &Tensor<D>) -> burn::tensor::Gradients {
    (y.clone() * y.clone()).sum().backward()
}

/// Asserts that values differ by at most `limit` of the largest.
fn assert_near(found: &[f64], wanted: &[f64], limit: f64) {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted
        .iter()
        .fold(1e-3, |most: f64, value| most.max(value.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        let apart = (found - wanted).abs() / largest;
        assert!(apart < limit, "{found} instead of {wanted}, of {largest}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    // Of two values that are almost equal, f32 cannot give the difference that they are divided by.
    fn a_layer_normalisation_is_what_its_formula_gives(
        rows in 1..140_usize, width in 8..70_usize, mean in -3.0..3.0_f64, trains: bool,
    ) {
        let x = random([2, rows, width], Distribution::Normal(mean, 1.5));
        let [gamma, beta] = [(); 2].map(|()| random([width], Distribution::Uniform(-2.0, 2.0)));
        let run = |double: bool| {
            let x = leaf(&x, double);
            let (gamma, beta) = (leaf(&gamma, double), leaf(&beta, double));
            let [gamma, beta] = [gamma, beta].map(|tensor| tensor.set_require_grad(trains));
            let y = if double {
                let apart = x.clone() - x.clone().mean_dim(2);
                let variance = (apart.clone() * apart.clone()).mean_dim(2);
                let normal = apart / (variance + 1e-6).sqrt();
                normal * gamma.clone().unsqueeze() + beta.clone().unsqueeze()
            } else {
                layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-6)
            };
            let grads = backward(&y);
            let mut all = vec![numbers(y), numbers(x.grad(&grads).expect("a gradient"))];
            let others = [gamma.grad(&grads), beta.grad(&grads)];
            all.extend(others.into_iter().flatten().map(numbers));
            assert_eq!(all.len(), if trains { 4 } else { 2 });
            all
        };
        for (found, wanted) in run(false).iter().zip(run(true)) {
            assert_near(found, &wanted, 2e-5);
        }
    }

    #[test]
    fn attention_is_what_its_formula_gives(
        batch in 1..3_usize, tokens in 1..40_usize, heads in 1..4_usize, dim in 1..20_usize,
    ) {
        check_attention([batch, tokens, heads, dim]);
    }
}

fn check_attention([batch, tokens, heads, dim]: [usize; 4]) {
    let width = heads * dim;
    let qkv = random([batch, tokens, 3 * width], Distribution::Normal(0.0, 1.0));
    let run = |double: bool| {
        let qkv = leaf(&qkv, double);
        let y = if double {
            let parts = qkv
                .clone()
                .reshape([batch, tokens, 3, heads, dim])
                .permute([2, 0, 3, 1, 4]);
            let part = |at: usize| {
                parts
                    .clone()
                    .narrow(0, at, 1)
                    .reshape([batch, heads, tokens, dim])
            };
            #[allow(clippy::cast_precision_loss)]
            let scores = part(0).matmul(part(1).transpose()) / (dim as f64).sqrt();
            let mixed = softmax(scores, 3).matmul(part(2));
            mixed.swap_dims(1, 2).reshape([batch, tokens, width])
        } else {
            attention(qkv.clone(), heads)
        };
        let grads = backward(&y);
        [numbers(y), numbers(qkv.grad(&grads).expect("a gradient"))]
    };
    for (found, wanted) in run(false).iter().zip(run(true)) {
        assert_near(found, &wanted, 1e-5);
    }
}

/// The scores of one head are computed in several blocks of queries.
#[test]
fn attention_over_many_tokens_is_what_its_formula_gives() {
    check_attention([1, 331, 2, 16]);
}

/// Large scores: a softmax that did not subtract the largest would overflow.
#[test]
fn attention_with_large_scores_is_finite() {
    let qkv = random([1, 5, 12], Distribution::Normal(0.0, 200.0)).require_grad();
    let y = attention(qkv.clone(), 2);
    let grads = backward(&y);
    let found = [numbers(y), numbers(qkv.grad(&grads).expect("a gradient"))];
    assert!(found.iter().flatten().all(|value| value.is_finite()));
}

/// From values whose output is that of the identity to values whose output is 0.
#[test]
fn gelu_and_its_gradient_are_those_of_burn() {
    #[allow(clippy::cast_precision_loss)]
    let values: Vec<f32> = (-1203..1203).map(|i| i as f32 * 0.01).collect();
    let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex().autodiff());
    let run = |double: bool| {
        let x = leaf(&x, double);
        let y = if double {
            activation::gelu(x.clone())
        } else {
            gelu(x.clone())
        };
        let grads = y.clone().sum().backward();
        [numbers(y), numbers(x.grad(&grads).expect("a gradient"))]
    };
    let [found, wanted] = [run(false), run(true)];
    for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
        assert!(
            (found - wanted).abs() < 1e-6 * wanted.abs().max(1.0),
            "{found} {wanted}"
        );
    }
}

/// Without a graph, and for values that are not in order in memory.
#[test]
fn without_gradients_the_values_are_the_same() {
    let x = random([3, 4, 6], Distribution::Normal(0.0, 1.0));
    let plain = x.clone().inner().swap_dims(0, 1);
    let tracked = x.swap_dims(0, 1).require_grad();
    assert_eq!(numbers(gelu(plain.clone())), numbers(gelu(tracked.clone())));
    assert_eq!(numbers(attention(plain, 2)), numbers(attention(tracked, 2)));
}
