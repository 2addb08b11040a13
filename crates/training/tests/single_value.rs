//! A `BatchNorm` never trains on a single value per channel.

#![allow(clippy::unwrap_used, missing_docs)]

use burn::tensor::Device;
use finetune_data::{Images, Normalization, Preprocess, embedded_signs};
use finetune_methods::{LoraConfig, Method, Scope, Targets};
use finetune_model::Architecture;
use finetune_training::{Optimizer, Recipe, TrainingData, TrainingError, train};

fn images(per_class: usize, side: usize) -> Images {
    let all = embedded_signs().train.take_per_class(per_class, 0);
    all.decode(&Preprocess::square(side)).unwrap()
}

/// The error of a run of one epoch; `None` if it trains.
fn error(model: &str, side: usize, method: &Method, batch_size: usize) -> Option<String> {
    let device = Device::flex().autodiff();
    let architecture = Architecture::find(model).unwrap().at(side).unwrap();
    let targets = Targets::all();
    let scope = Scope::new(architecture.head, &targets, 0);
    let network = architecture.build(5, 0, &device);
    let attached = method.attach(network, &scope).unwrap();
    // Five images: one of each class.
    let images = images(1, side);
    assert_eq!(images.len(), 5);
    let data = TrainingData {
        train: &images,
        valid: None,
        normalization: Normalization::HALF,
    };
    let recipe = Recipe {
        epochs: 1,
        batch_size,
        ..Recipe::new(Optimizer::Adam, 0.001)
    };
    match train(attached, &data, &recipe, &device, &mut ()) {
        Ok(_) => None,
        Err(error @ TrainingError::SingleValue { .. }) => Some(error.to_string()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_batch_of_one_image_with_maps_of_one_pixel_is_rejected() {
    // ResNet-18 reduces images of 32 pixels to maps of 1×1.
    let found = error("resnet18", 32, &Method::Sft, 4).unwrap();
    assert_eq!(
        found,
        "5 images in batches of 4 leave a batch of 1 image, of which the BatchNorm `layer4.0.downsample.norm` \
         would see 1 value per channel: it needs at least 2; choose another batch size, e.g. 3, or \
         larger images"
    );
    assert!(error("resnet18", 32, &Method::Sft, 1).is_some());
    // No batch has one image; the maps are of 2×2; the statistics are frozen; there is no BatchNorm.
    assert_eq!(error("resnet18", 32, &Method::Sft, 3), None);
    assert_eq!(error("resnet18", 32, &Method::Sft, 64), None);
    assert_eq!(error("resnet18", 64, &Method::Sft, 4), None);
    assert_eq!(
        error("resnet18", 32, &Method::Lora(LoraConfig::default()), 4),
        None
    );
    assert_eq!(error("vit_tiny_patch16_224", 32, &Method::Linear, 1), None);
}
