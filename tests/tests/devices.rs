//! A short training run gives the same model on several backends.

#![cfg(any(feature = "ndarray", feature = "wgpu"))]
#![allow(clippy::unwrap_used, missing_docs)]

use burn::module::Module;
use burn::tensor::Device;
use finetune::config::defaults::For;
use finetune::data::{Images, Loader, Normalization, Order, Preprocess, embedded_signs};
use finetune::methods::{LoraConfig, Method, Scope, SparseSharedConfig, Targets};
use finetune::model::Architecture;
use finetune::training::{Recipe, TrainingData, train};

fn images() -> Images {
    embedded_signs()
        .train
        .take_per_class(2, 0)
        .decode(&Preprocess::square(16))
        .unwrap()
}

/// Returns the logits after three training steps with a method.
fn logits(method: &Method, device: &Device) -> Vec<f32> {
    let device = device.clone().autodiff();
    let images = images();
    let architecture = Architecture::find("resnet8-64").unwrap();
    let model = architecture.build(5, 3, &device);
    let targets = Targets::all();
    let scope = Scope::new(architecture.head, &targets, 1);
    let attached = method.attach(model, &scope).unwrap();
    let data = TrainingData {
        train: &images,
        valid: None,
        normalization: Normalization::HALF,
    };
    let recipe = Recipe {
        epochs: 3,
        ..finetune::config::defaults::recipe("lora", For::Chapter)
    };
    let trained = train(attached, &data, &recipe, &device, &mut ()).unwrap();
    let device = device.inner();
    let batch = Loader::new(&images, 10, Order::Sequential)
        .device(&device)
        .next()
        .unwrap()
        .unwrap();
    trained
        .model
        .valid()
        .forward(batch.images)
        .into_data()
        .iter::<f32>()
        .collect()
}

fn agree(other: &Device) {
    for method in [
        Method::Sft,
        Method::Lora(LoraConfig::default()),
        Method::SparseShared(SparseSharedConfig {
            interval: 1,
            ..SparseSharedConfig::default()
        }),
    ] {
        let (flex, other) = (logits(&method, &Device::flex()), logits(&method, other));
        let largest = flex
            .iter()
            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (a, b) in flex.iter().zip(&other) {
            assert!(
                (a - b).abs() <= 2e-3 * largest,
                "{}: {a} and {b}",
                method.name()
            );
        }
    }
}

/// Opt-in: `cargo test --workspace --features finetune-tests/ndarray --test devices`.
#[cfg(feature = "ndarray")]
#[test]
fn ndarray_agrees_with_flex() {
    agree(&finetune::machine::device::device("ndarray").unwrap());
}

/// Opt-in: `cargo test --workspace --features finetune-tests/wgpu --test devices`, with Debian's
/// `mesa-vulkan-drivers` if there is no GPU.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_agrees_with_flex() {
    agree(&finetune::machine::device::device("wgpu").unwrap());
}
