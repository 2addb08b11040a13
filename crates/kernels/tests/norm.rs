//! Compares normalisations with Burn's operations: values and gradients.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(deprecated)] // NdArray is, upstream

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, TensorData};
use finetune_kernels::norm::{Activation, norm_act};
use proptest::prelude::*;

/// Pseudo-random numbers from -1 to 1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = u64::from(seed) * 0x9E37_79B9_7F4A_7C15 + 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[allow(clippy::cast_precision_loss)]
        let value = (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
        value
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let values = noise(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[derive(Debug, Clone, Copy)]
struct Case {
    shape: [usize; 4],
    activation: Activation,
    residual: bool,
    /// Whether the statistics are those of the batch.
    of_batch: bool,
    /// Whether γ and β are trained.
    parameters: [bool; 2],
    /// A constant that is added to all values.
    offset: f32,
    seed: u32,
}

/// All results.
struct Outcome {
    values: Vec<(&'static str, Vec<f32>)>,
}

fn layer(case: &Case, device: &Device) -> BatchNorm {
    let channels = [case.shape[1]];
    let mut norm = BatchNormConfig::new(channels[0]).init(device);
    let [gamma, beta] = case.parameters;
    norm.gamma =
        Param::from_tensor(tensor(channels, 11, device) * 0.5 + 1.0).set_require_grad(gamma);
    norm.beta = Param::from_tensor(tensor(channels, 12, device) + 0.5).set_require_grad(beta);
    norm.running_mean
        .update(tensor(channels, 13, device) + case.offset);
    norm.running_var
        .update(tensor(channels, 14, device) * 0.2 + 0.4);
    // Both running statistics have been updated from here on.
    let _ = (
        norm.running_mean.value_sync(),
        norm.running_var.value_sync(),
    );
    if !case.of_batch {
        norm.training = norm.training.with_value(false);
    }
    norm
}

fn plain(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    let [images, _, height, width] = x.dims();
    #[allow(clippy::cast_precision_loss)]
    let count = (images * height * width) as f32;
    let kept = norm.running_var.value_sync() * (1.0 - norm.momentum);
    let mut y = norm.forward(x);
    if norm.training.is_enabled() {
        // Burn's running variance follows the biased variance of the batch; PyTorch's and ours
        // follow the unbiased one.
        let biased = norm.running_var.value_sync() - kept.clone();
        norm.running_var
            .update(kept + biased * count / (count - 1.0));
    }
    if let Some(residual) = residual {
        y = y + residual;
    }
    activation.apply(y)
}

type Function = fn(&BatchNorm, Tensor<4>, Option<Tensor<4>>, Activation) -> Tensor<4>;

fn outcome(case: &Case, device: &Device, function: Function) -> Outcome {
    let norm = layer(case, device);
    let shape = case.shape;
    let leaf = (tensor(shape, case.seed, device) * 2.0 + case.offset)
        .detach()
        .require_grad();
    let added = tensor(shape, case.seed + 1, device).require_grad();
    // Not leaves, so that a buffer can be reused.
    let x = leaf.clone() * 1.0;
    let residual = case.residual.then(|| added.clone() * 1.0);
    let y = function(&norm, x, residual, case.activation);
    let weights = tensor(shape, case.seed + 2, device);
    let values = |tensor: Tensor<1>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
    let mut found = vec![("output", values(y.clone().flatten(0, 3)))];
    let gradients = (y * weights).sum().backward();
    found.push((
        "of the input",
        values(leaf.grad(&gradients).unwrap().flatten(0, 3)),
    ));
    if case.residual {
        let gradient = added.grad(&gradients).unwrap().flatten(0, 3);
        found.push(("of the residual", values(gradient)));
    }
    for (name, param) in [("of gamma", &norm.gamma), ("of beta", &norm.beta)] {
        if let Some(gradient) = param.grad(&gradients) {
            found.push((name, values(gradient)));
        }
    }
    found.push(("running mean", values(norm.running_mean.value_sync())));
    found.push(("running variance", values(norm.running_var.value_sync())));
    Outcome { values: found }
}

fn assert_near(found: &Outcome, wanted: &Outcome, case: &Case) {
    assert_eq!(found.values.len(), wanted.values.len());
    for ((name, found), (_, wanted)) in found.values.iter().zip(&wanted.values) {
        assert_eq!(found.len(), wanted.len());
        // The rounding error of a gradient is proportional to its largest entries.
        let size = wanted
            .iter()
            .fold(1.0_f32, |size, value| size.max(value.abs()));
        for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert!(
                (found - wanted).abs() <= 1e-4 * size,
                "{name}, {at}: {found} instead of {wanted} in {case:?}"
            );
        }
    }
}

/// Whether a normalised value is so near to a kink of the activation that rounding decides on which side
/// it falls, and with it about a whole gradient.
fn is_at_a_kink(case: &Case, device: &Device) -> bool {
    const NEAR: f32 = 1e-5;
    let kinks: &[f32] = match case.activation {
        Activation::Relu => &[0.0],
        Activation::Relu6 => &[0.0, 6.0],
        Activation::HardSwish => &[-3.0, 3.0],
        _ => &[],
    };
    let smooth = Case {
        activation: Activation::Identity,
        ..*case
    };
    let normalized = &outcome(&smooth, device, plain).values[0].1;
    let mut normalized = normalized.iter();
    normalized.any(|value| kinks.iter().any(|kink| (value - kink).abs() < NEAR))
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Identity),
        Just(Activation::Relu),
        Just(Activation::Relu6),
        Just(Activation::Silu),
        Just(Activation::HardSwish),
    ]
}

prop_compose! {
    /// Areas from 1 to more than a run, and fewer and more channels than a task has.
    fn case()(
        images in 1_usize..5,
        (channels, side) in prop_oneof![
            (1_usize..200, 1_usize..4),
            (1_usize..40, 4_usize..12),
            (1_usize..4, 20_usize..50),
        ],
        narrow in 0_usize..3,
        activation in activation(),
        residual: bool,
        of_batch: bool,
        parameters: [bool; 2],
        seed in 0_u32..1000,
    ) -> Case {
        let width = (side - narrow.min(side - 1)).max(1);
        // The normalised value of a single value is 0.
        let images = if of_batch { images + 1 } else { images };
        Case {
            shape: [images, channels, side, width],
            activation, residual, of_batch, parameters, offset: 0.0, seed,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_is_what_burn_computes(case in case()) {
        let device = Device::flex().autodiff();
        prop_assume!(!is_at_a_kink(&case, &device));
        let found = outcome(&case, &device, norm_act);
        let wanted = outcome(&case, &device, plain);
        assert_near(&found, &wanted, &case);
    }
}

const CASE: Case = Case {
    shape: [3, 5, 6, 7],
    activation: Activation::Relu,
    residual: true,
    of_batch: true,
    parameters: [true, true],
    offset: 0.0,
    seed: 7,
};

/// As PyTorch's `BatchNorm2d(1)` on the same values: the variance of 1, 2, 3, 4 is 5/3, and the
/// running variance of 1 moves towards it by a tenth.
#[test]
fn the_running_variance_is_unbiased() {
    let devices = [
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ];
    for device in devices.map(Device::autodiff) {
        let norm = BatchNormConfig::new(1).init(&device);
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &device).reshape([2, 1, 1, 2]);
        let _ = norm_act(&norm, x, None, Activation::Identity);
        let mean = norm.running_mean.value_sync().into_scalar::<f32>();
        let variance = norm.running_var.value_sync().into_scalar::<f32>();
        assert!((mean - 0.25).abs() < 1e-6, "{mean}");
        assert!((variance - 1.066_666_7).abs() < 1e-6, "{variance}");
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn other_backends_compute_it_with_their_own_operations() {
    for of_batch in [true, false] {
        let case = Case { of_batch, ..CASE };
        let found = outcome(&case, &Device::ndarray().autodiff(), norm_act);
        let wanted = outcome(&case, &Device::flex().autodiff(), norm_act);
        assert_near(&found, &wanted, &case);
    }
}

/// Compared with `f64`: with a mean of 1000, the mean of the squares has no digits left for the
/// variance.
#[test]
fn a_mean_far_from_zero_costs_no_precision() {
    let case = Case {
        offset: 1000.0,
        activation: Activation::Identity,
        residual: false,
        ..CASE
    };
    let device = Device::flex().autodiff();
    let [images, channels, height, width] = case.shape;
    let area = height * width;
    let input = (tensor(case.shape, case.seed, &device) * 2.0 + 1000.0).into_data();
    let input: Vec<f64> = input.iter::<f64>().collect();
    let found = outcome(&case, &device, norm_act);
    let norm = layer(&case, &device);
    let numbers = |tensor: Tensor<1>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
    let (gamma, beta) = (numbers(norm.gamma.val()), numbers(norm.beta.val()));
    for channel in 0..channels {
        let places: Vec<usize> = (0..images)
            .flat_map(|image| (0..area).map(move |at| (image * channels + channel) * area + at))
            .collect();
        #[allow(clippy::cast_precision_loss)]
        let count = places.len() as f64;
        let mean = places.iter().map(|at| input[*at]).sum::<f64>() / count;
        let variance = places
            .iter()
            .map(|at| (input[*at] - mean).powi(2))
            .sum::<f64>()
            / count;
        for at in places {
            let wanted =
                (input[at] - mean) / (variance + 1e-5).sqrt() * gamma[channel] + beta[channel];
            let found = f64::from(found.values[0].1[at]);
            assert!((found - wanted).abs() < 2e-4, "{found} instead of {wanted}");
        }
    }
}

/// Finite differences, including the batch statistics.
#[test]
fn gradients_agree_with_finite_differences() {
    let device = Device::flex().autodiff();
    for activation in [
        Activation::Identity,
        Activation::Silu,
        Activation::HardSwish,
    ] {
        let case = Case {
            shape: [2, 2, 3, 2],
            activation,
            residual: false,
            ..CASE
        };
        let norm = layer(&case, &device);
        let weights = tensor(case.shape, 3, &device);
        let start = noise(24, 4);
        let loss = |values: &[f32]| {
            let x = Tensor::<4>::from_data(TensorData::new(values.to_vec(), case.shape), &device);
            (norm_act(&norm, x, None, activation) * weights.clone()).sum()
        };
        let x = Tensor::<4>::from_data(TensorData::new(start.clone(), case.shape), &device);
        let x = x.require_grad();
        let whole = (norm_act(&norm, x.clone(), None, activation) * weights.clone()).sum();
        let gradient: Vec<f32> = x
            .grad(&whole.backward())
            .unwrap()
            .into_data()
            .iter()
            .collect();
        for at in 0..start.len() {
            const STEP: f32 = 1e-2;
            let moved = |by: f32| {
                let mut values = start.clone();
                values[at] += by;
                f64::from(loss(&values).into_scalar::<f32>())
            };
            let slope = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let found = f64::from(gradient[at]);
            assert!(
                (found - slope).abs() < 1e-2,
                "{found} instead of {slope} at {at}"
            );
        }
    }
}

/// Values of `torch.nn.functional.hardswish` (2.15), which are exact fractions here.
#[test]
fn the_hard_swish_is_that_of_pytorch() {
    let device = Device::flex();
    let x = [-4.0, -3.0, -1.5, 0.0, 1.5, 3.0, 6.0];
    let wanted = [0.0, 0.0, -0.375, 0.0, 1.125, 3.0, 6.0];
    let x = Tensor::<1>::from_floats(x, &device);
    let found = Activation::HardSwish.apply(x).into_data();
    assert_eq!(found.iter::<f32>().collect::<Vec<_>>(), wanted);
}

#[test]
fn nan_stays_nan() {
    let device = Device::flex();
    let case = Case {
        of_batch: false,
        residual: false,
        ..CASE
    };
    let norm = layer(&case, &device.clone().autodiff()).valid();
    for activation in [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Silu,
        Activation::HardSwish,
    ] {
        let x = Tensor::<4>::full(case.shape, f32::NAN, &device);
        let y = norm_act(&norm, x, None, activation).into_data();
        assert!(y.iter::<f32>().all(f32::is_nan), "{activation:?}");
    }
}
