//! Fully connected layers against Burn's own operation, values and gradients.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(deprecated)] // NdArray is, upstream

use burn::Tensor;
use burn::tensor::{Device, TensorData, module};
use finetune_kernels::linear::linear;
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

/// Output and the gradients of input, weight and bias.
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

#[test]
fn several_threads_and_other_backends_compute_the_same() {
    let sizes = [4, 16, 130, 170];
    let found = outcome(sizes, true, &Device::flex().autodiff(), linear);
    assert_near(
        &found,
        &outcome(sizes, true, &Device::ndarray().autodiff(), linear),
    );
}
