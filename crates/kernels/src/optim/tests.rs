#![allow(clippy::excessive_precision)] // as PyTorch prints them

use burn::Tensor;
use burn::tensor::{Device, TensorData};
#[cfg(feature = "ndarray")]
use proptest::prelude::*;

use super::{Adam, Sgd, adam, sgd};
use crate::linear::OuterProduct;

const STEPS: u16 = 4;

/// The output of tests/parity/optimizers.py with PyTorch 2.15.
const ADAM: [f32; 4] = [0.460_339_546, -0.960_339_546, 1.960_342_526, -0.014_194_763];
const ADAM_DECAY: [f32; 4] = [0.460_297_763, -0.960_103_929, 1.960_011_005, -0.014_194_783];
const ADAMW: [f32; 4] = [0.458_402_216, -0.956_405_222, 1.952_414_274, -0.014_188_375];
const SGD: [f32; 4] = [0.361_960_024, -0.965_490_043, 1.999_986_291, -0.188_999_996];
const SGD_DECAY: [f32; 4] = [0.357_609_63, -0.956_496_656, 1.981_915_832, -0.188_939_989];

fn adam_step(step: u64, weight_decay: f64, decoupled: bool) -> Adam {
    Adam {
        learning_rate: 0.01,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        weight_decay,
        decoupled,
        step,
    }
}

/// Returns flex, and another backend if it is built in.
fn devices() -> Vec<Device> {
    vec![
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

fn start(device: &Device) -> Tensor<1> {
    Tensor::from_floats([0.5, -1.0, 2.0, 0.0], device)
}

fn gradient(step: u16, device: &Device) -> Tensor<1> {
    let last = if step < 2 { 0.0 } else { 3.0 };
    let scale = Tensor::from_floats([1.0, -0.25, 1e-4, last], device);
    scale * (1.0 + 0.5 * f32::from(step))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn assert_near(found: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        let distance = (found - wanted).abs();
        assert!(
            distance <= tolerance * wanted.abs().max(1.0),
            "{found} instead of {wanted}"
        );
    }
}

#[test]
fn adam_and_adamw_agree_with_pytorch() {
    let cases = [
        (0.0, false, ADAM),
        (0.1, false, ADAM_DECAY),
        (0.1, true, ADAMW),
    ];
    for device in devices() {
        for (decay, decoupled, wanted) in cases {
            let mut parameter = start(&device);
            let mut moments = [(); 2].map(|()| Tensor::zeros([4], &device));
            for step in 0..STEPS {
                let numbers = adam_step(u64::from(step) + 1, decay, decoupled);
                (parameter, moments) = adam(parameter, gradient(step, &device), moments, numbers);
            }
            assert_near(&values(parameter), &wanted, 1e-6);
        }
    }
}

#[test]
fn sgd_agrees_with_pytorch() {
    for device in devices() {
        for (weight_decay, wanted) in [(0.0, SGD), (0.1, SGD_DECAY)] {
            let numbers = Sgd {
                learning_rate: 0.01,
                momentum: 0.9,
                weight_decay,
            };
            let mut parameter = start(&device);
            let mut velocity = Tensor::zeros([4], &device);
            for step in 0..STEPS {
                (parameter, velocity) = sgd(parameter, gradient(step, &device), velocity, numbers);
            }
            assert_near(&values(parameter), &wanted, 1e-6);
        }
    }
}

#[test]
fn an_optimiser_step_does_not_change_a_shared_buffer() {
    let device = Device::flex();
    let parameter = start(&device);
    let moments = [(); 2].map(|()| Tensor::<1>::zeros([4], &device));
    let held = (parameter.clone(), moments.clone());
    let _ = adam(
        parameter,
        gradient(0, &device),
        moments,
        adam_step(1, 0.0, false),
    );
    assert_eq!(values(held.0), values(start(&device)));
    for moment in held.1 {
        assert_eq!(values(moment), [0.0; 4]);
    }
}

#[test]
fn steps_with_a_gradient_computed_in_pieces_agree_with_the_whole_gradient() {
    // Several pieces, the last of which is shorter; rows longer than a piece; and a single piece.
    for [rows, inputs, outputs] in [[5, 131, 1000], [1, 3, 70_001], [3, 70_001, 1], [2, 9, 7]] {
        for device in devices() {
            let tensor = |shape: [usize; 2], speed: f32, low: f32| {
                #[allow(clippy::cast_precision_loss)]
                let wave = |at: usize| low + ((at as f32 + 1.0) * speed).sin();
                let data: Vec<f32> = (0..shape[0] * shape[1]).map(wave).collect();
                Tensor::<2>::from_data(TensorData::new(data, shape), &device)
            };
            let outer = OuterProduct {
                x: tensor([rows, inputs], 0.37, 0.0),
                gradient: tensor([rows, outputs], 1.13, 0.2),
            };
            let whole = outer.clone().product();
            let weight = || tensor([inputs, outputs], 0.71, 0.0);
            let moments = || [0.0, 1.0].map(|low| tensor([inputs, outputs], 0.53, low));
            let step = adam_step(3, 0.05, true);
            let (found, after) = adam(weight(), outer.clone(), moments(), step);
            let (wanted, wanted_after) = adam(weight(), whole.clone(), moments(), step);
            assert_near(&values(found), &values(wanted), 1e-6);
            for (found, wanted) in after.into_iter().zip(wanted_after) {
                assert_near(&values(found), &values(wanted), 1e-6);
            }
            let step = Sgd {
                learning_rate: 0.01,
                momentum: 0.9,
                weight_decay: 0.1,
            };
            let velocity = || tensor([inputs, outputs], 0.53, 0.0);
            let (found, after) = sgd(weight(), outer, velocity(), step);
            let (wanted, wanted_after) = sgd(weight(), whole, velocity(), step);
            assert_near(&values(found), &values(wanted), 1e-6);
            assert_near(&values(after), &values(wanted_after), 1e-6);
        }
    }
}

#[cfg(feature = "ndarray")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Compares with the same step in tensor operations on another backend, for tensors with up to
    /// more entries than a task of the kernel.
    #[test]
    fn adam_agrees_with_tensor_operations(
        rows in 1_usize..200, columns in 1_usize..200, transposed: bool, decoupled: bool,
        step in 1_u64..2000, seed in 0_u32..1000,
    ) {
        let step = adam_step(step, 0.05, decoupled);
        let run = |device: Device| {
            let tensor = |index: u32, low: f32| {
                let wave = |at: usize| {
                    #[allow(clippy::cast_precision_loss)]
                    let angle = (at as f32 + 1.0) * (0.37 + (seed * 4 + index) as f32);
                    low + angle.sin()
                };
                let data: Vec<f32> = (0..rows * columns).map(wave).collect();
                let tensor = Tensor::<2>::from_data(TensorData::new(data, [rows, columns]), &device);
                if transposed { tensor.transpose() } else { tensor }
            };
            // A second moment is never negative.
            let (p, m) = adam(tensor(0, 0.0), tensor(1, 0.0), [tensor(2, 0.0), tensor(3, 1.0)], step);
            let [first, second] = m.map(values);
            (values(p), first, second)
        };
        let (found, wanted) = (run(Device::flex()), run(Device::ndarray()));
        assert_near(&found.0, &wanted.0, 1e-5);
        assert_near(&found.1, &wanted.1, 1e-5);
        assert_near(&found.2, &wanted.2, 1e-5);
    }
}
