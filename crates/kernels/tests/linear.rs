//! Compares fully connected layers with Burn's operation: values and gradients.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(deprecated)] // NdArray is, upstream

use burn::Tensor;
use burn::tensor::{Device, TensorData, module};
use finetune_kernels::linear::{backward, linear};
use proptest::prelude::*;

fn tensor<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let wave = |at: usize| {
        #[allow(clippy::cast_precision_loss)]
        let angle = (at as f32 + 1.0) * (1.37 + seed as f32);
        angle.sin()
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(wave).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

type Function = fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>) -> Tensor<3>;

/// The output, and the gradients of input, weight and bias.
fn outcome(sizes: [usize; 4], bias: bool, device: &Device, function: Function) -> Vec<Vec<f32>> {
    let [batch, tokens, inputs, outputs] = sizes;
    let x = tensor([batch, tokens, inputs], 1, device).require_grad();
    let weight = tensor([inputs, outputs], 2, device).require_grad();
    let given = tensor([outputs], 3, device).require_grad();
    let y = function(x.clone(), weight.clone(), bias.then(|| given.clone()));
    let weights = tensor([batch, tokens, outputs], 4, device);
    let gradients = (y.clone() * weights).sum().backward();
    let mut found = vec![y.into_data()];
    found.push(x.grad(&gradients).unwrap().into_data());
    found.push(weight.grad(&gradients).unwrap().into_data());
    found.extend(given.grad(&gradients).map(Tensor::into_data));
    found
        .into_iter()
        .map(|data| data.iter().collect())
        .collect()
}

fn assert_near(found: &[Vec<f32>], wanted: &[Vec<f32>]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
        assert!(
            (found - wanted).abs() <= 1e-4,
            "{found} instead of {wanted}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_is_what_burn_computes(
        batch in 1_usize..4, tokens in 1_usize..9, inputs in 1_usize..70, outputs in 1_usize..70,
        bias: bool,
    ) {
        let (sizes, device) = ([batch, tokens, inputs, outputs], Device::flex().autodiff());
        let found = outcome(sizes, bias, &device, linear);
        assert_near(&found, &outcome(sizes, bias, &device, module::linear));
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn several_threads_and_other_backends_compute_the_same() {
    let sizes = [4, 16, 130, 170];
    let found = outcome(sizes, true, &Device::flex().autodiff(), linear);
    assert_near(
        &found,
        &outcome(sizes, true, &Device::ndarray().autodiff(), linear),
    );
}

/// A large weight that is used with few rows, once or twice, and a bias.
fn large(device: &Device) -> (Tensor<2>, Tensor<1>, Tensor<2>) {
    let weight = tensor([1100, 1000], 2, device).require_grad();
    let bias = tensor([1000], 3, device).require_grad();
    (weight, bias, tensor([3, 1100], 1, device))
}

#[test]
fn the_gradient_of_a_large_weight_can_be_stored_as_factors() {
    let device = Device::flex().autodiff();
    let (weight, bias, x) = large(&device);
    let loss = |rows: usize| {
        let x = x.clone().repeat_dim(0, rows.div_ceil(3));
        linear(x, weight.clone(), Some(bias.clone()))
            .square()
            .mean()
    };
    let wanted = loss(3).backward();
    let (found, mut outer) = backward(&loss(3));
    assert_eq!(outer.len(), 1);
    assert!(weight.grad(&found).is_none());
    let close = |found: Tensor<2>, wanted: Tensor<2>| {
        let largest = wanted.clone().abs().max().into_scalar::<f32>();
        let distance = (found - wanted).abs().max().into_scalar::<f32>();
        assert!(distance <= 1e-6 * largest, "{distance} of {largest}");
    };
    let [kept, same] = [&found, &wanted].map(|gradients| bias.grad(gradients).unwrap());
    close(kept.unsqueeze(), same.unsqueeze());
    assert!(outer.remove(&bias).is_none() && outer.remove(&x).is_none());
    let product = outer.remove(&weight).unwrap();
    close(product.product(), weight.grad(&wanted).unwrap());
    assert!(outer.is_empty() && outer.remove(&weight).is_none());

    // So many rows that the product is smaller than its factors, and an ordinary pass after it.
    let (found, outer) = backward(&loss(600));
    assert!(outer.is_empty() && weight.grad(&found).is_some());
    assert!(weight.grad(&loss(3).backward()).is_some());
}

#[test]
fn other_uses_of_the_same_weight_are_not_lost() {
    let device = Device::flex().autodiff();
    let (weight, _, x) = large(&device);
    let loss = || {
        let once = linear(x.clone(), weight.clone(), None).square().mean();
        let twice = linear(x.clone() * 0.5, weight.clone(), None).sum() * 1e-3;
        once + twice + weight.clone().square().mean()
    };
    let wanted = weight.grad(&loss().backward()).unwrap();
    let (found, mut outer) = backward(&loss());
    let sum = outer.remove(&weight).unwrap().product() + weight.grad(&found).unwrap();
    let distance = (sum - wanted.clone()).abs().max().into_scalar::<f32>();
    assert!(distance <= 1e-6 * wanted.abs().max().into_scalar::<f32>());

    // If the weight depends on another tensor, its gradient is needed as a whole.
    let doubled = || {
        linear(x.clone(), weight.clone() * 2.0, None)
            .square()
            .mean()
    };
    let wanted = weight.grad(&doubled().backward()).unwrap();
    let (found, outer) = backward(&doubled());
    assert!(outer.is_empty());
    let distance = (weight.grad(&found).unwrap() - wanted).abs().max();
    assert!(distance.into_scalar::<f32>() < f32::MIN_POSITIVE);
}
