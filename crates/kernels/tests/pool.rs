//! Compares pooling with Burn's operations: values and gradients.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(deprecated)] // NdArray is, upstream

use burn::Tensor;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, TensorData};
use finetune_kernels::pool::{max_pool2d, relu_max_pool2d};
use proptest::prelude::*;

/// Pseudo-random numbers that are all different.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|at| {
            #[allow(clippy::cast_precision_loss)]
            let angle = (at as f32 + 1.0) * (1.37 + seed as f32);
            angle.sin()
        })
        .collect()
}

fn layer(kernel: usize, stride: usize, padding: usize) -> MaxPool2d {
    MaxPool2dConfig::new([kernel, kernel])
        .with_strides([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(
            padding, padding, padding, padding,
        ))
        .init()
}

/// The output and the gradient of the input.
fn outcome(
    shape: [usize; 4],
    seed: u32,
    device: &Device,
    pool: impl Fn(Tensor<4>) -> Tensor<4>,
) -> [Vec<f32>; 2] {
    let data = TensorData::new(noise(shape.iter().product(), seed), shape);
    let x = Tensor::<4>::from_data(data, device).require_grad();
    let y = pool(x.clone());
    // Without a gradient, no positions are kept.
    let untracked = pool(x.clone().detach()).into_data();
    assert_eq!(untracked, y.clone().into_data());
    let weights = TensorData::new(noise(y.shape().num_elements(), seed + 1), y.dims());
    let weights = Tensor::<4>::from_data(weights, device);
    let gradients = (y.clone() * weights).sum().backward();
    [y, Tensor::from_inner(x.grad(&gradients).unwrap())]
        .map(|tensor| tensor.into_data().iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_is_what_burn_computes(
        images in 1_usize..3, channels in 1_usize..4, height in 3_usize..12, width in 3_usize..12,
        kernel in 1_usize..4, stride in 1_usize..4, padding in 0_usize..2, seed in 0_u32..100,
    ) {
        let layer = layer(kernel, stride, padding.min(kernel / 2));
        let (device, shape) = (Device::flex().autodiff(), [images, channels, height, width]);
        let run = |pool: &dyn Fn(Tensor<4>) -> Tensor<4>| outcome(shape, seed, &device, pool);
        let near = |found: [Vec<f32>; 2], wanted: [Vec<f32>; 2]| {
            for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
                assert!((found - wanted).abs() <= 1e-6, "{found} instead of {wanted}");
            }
        };
        near(run(&|x| max_pool2d(&layer, x)), run(&|x| layer.forward(x)));
        near(run(&|x| relu_max_pool2d(&layer, x)), run(&|x| layer.forward(relu(x))));
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn other_backends_compute_it_with_their_own_operations() {
    let layer = layer(3, 2, 1);
    let shape = [2, 3, 9, 8];
    let run =
        |device: Device| outcome(shape, 5, &device.autodiff(), |x| relu_max_pool2d(&layer, x));
    assert_eq!(run(Device::ndarray()), run(Device::flex()));
}

#[test]
fn maxima_of_windows_as_computed_by_hand() {
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::from_floats(
        [[[[1.0, -2.0, -3.0, -4.0], [0.5, 3.0, -1.0, -6.0]]]],
        &device,
    )
    .require_grad();
    let layer = layer(2, 2, 0);
    let values = |tensor: Tensor<4>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
    let y = relu_max_pool2d(&layer, x.clone());
    assert_eq!(values(y.clone()), [3.0, 0.0]);
    let gradient = x.grad(&y.sum().backward()).unwrap();
    assert_eq!(
        values(Tensor::from_inner(gradient)),
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    );
    assert_eq!(values(max_pool2d(&layer, x)), [3.0, -1.0]);
}

#[test]
fn nan_stays_nan() {
    let device = Device::flex();
    let x = Tensor::<4>::from_floats([[[[1.0, f32::NAN], [2.0, 0.0]]]], &device);
    for pool in [max_pool2d, relu_max_pool2d] {
        let y = pool(&layer(2, 2, 0), x.clone());
        assert!(y.into_scalar::<f32>().is_nan());
    }
}
