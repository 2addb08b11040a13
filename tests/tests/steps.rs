//! Steps of the training loop for methods that need more than gradients.

#![allow(clippy::unwrap_used, missing_docs)]

use burn::tensor::Device;
use finetune::data::{Normalization, Preprocess, embedded_signs};
use finetune::methods::{LoraConfig, Method, Scope, Targets, TrainedTensor, Values, trained};
use finetune::model::Architecture;
use finetune::training::{Optimizer, Recipe, TrainingData, train};

/// Returns the trained tensors of a method after one step of plain gradient descent.
fn after_a_step(method: &Method, adapt_statistics: bool) -> Vec<TrainedTensor> {
    let device = Device::flex().autodiff();
    let images = embedded_signs()
        .train
        .take_per_class(2, 0)
        .decode(&Preprocess::square(16))
        .unwrap();
    let architecture = Architecture::find("resnet8-64").unwrap();
    let targets = Targets::all();
    let scope = Scope {
        adapt_statistics,
        ..Scope::new(architecture.head, &targets, 1)
    };
    let attached = method
        .attach(architecture.build(5, 3, &device), &scope)
        .unwrap();
    let data = TrainingData {
        train: &images,
        valid: None,
        normalization: Normalization::HALF,
    };
    let recipe = Recipe {
        epochs: 1,
        ..Recipe::new(Optimizer::Sgd, 0.01)
    };
    trained(
        &train(attached, &data, &recipe, &device, &mut ())
            .unwrap()
            .model,
    )
}

fn values<'a>(tensors: &'a [TrainedTensor], path: &str) -> &'a [f32] {
    let found = tensors.iter().find(|tensor| tensor.path == path).unwrap();
    match &found.values {
        Values::Floats(values) => values,
        Values::Indices(_) => unreachable!("{path} is of numbers"),
    }
}

#[test]
fn lora_plus_scales_the_step_of_b_only() {
    let with = |b_lr_ratio| {
        let config = LoraConfig {
            b_lr_ratio,
            ..LoraConfig::default()
        };
        after_a_step(&Method::Lora(config), false)
    };
    let (plain, faster) = (with(1.0), with(4.0));
    assert_eq!(plain.len(), faster.len());
    for tensor in &plain {
        let (a, b) = (values(&plain, &tensor.path), values(&faster, &tensor.path));
        // B starts at 0, so the gradient of A is 0, and the first step changes only B and the head.
        let ratio = if tensor.path.ends_with(".lora_b") {
            4.0
        } else {
            1.0
        };
        let largest = a.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(largest > 0.0, "{} did not move", tensor.path);
        for (a, b) in a.iter().zip(b) {
            assert!(
                (ratio * a - b).abs() <= 1e-5 * largest,
                "{}: {a} and {b}",
                tensor.path
            );
        }
    }
}

#[test]
fn statistics_adapt_and_are_saved_only_on_request() {
    let statistics = |adapt| -> Vec<String> {
        let paths = after_a_step(&Method::Linear, adapt).into_iter();
        let paths = paths.map(|tensor| tensor.path);
        paths.filter(|path| path.contains("running_")).collect()
    };
    assert!(statistics(false).is_empty());
    // Seven convolutions, each followed by a normalisation with a mean and a variance.
    let moved = statistics(true);
    assert_eq!(moved.len(), 2 * 7, "{moved:?}");
    let tensors = after_a_step(&Method::Linear, true);
    // They start at 0 and 1, and one batch changes them.
    assert!(
        values(&tensors, "bn1.running_mean")
            .iter()
            .any(|mean| *mean != 0.0)
    );
}
