//! Defaults of the recipe, for each method and preset.
//!
//! Epochs and learning rates were chosen on a validation split of the embedded training images,
//! never on the test images; `docs/defaults.md` has the measurements.

use finetune_data::Augment;
use finetune_methods::{LoraConfig, Method, PeftConfig};
use finetune_training::{Optimizer, Recipe, Schedule};

/// The default model.
pub const MODEL: &str = "resnet8-64";

/// A method by its name, with default settings.
#[must_use]
pub fn method(name: &str) -> Option<(Method, bool)> {
    Some(match name {
        "sft" => (Method::Sft, false),
        "lora" => (Method::Lora(LoraConfig::default()), false),
        "peft" => (Method::Peft(PeftConfig::default()), false),
        "linear" => (Method::Linear, false),
        "scratch" => (Method::Sft, true),
        _ => return None,
    })
}

/// Names of all methods, in the order of the comparison.
pub const METHODS: [&str; 5] = ["sft", "peft", "lora", "linear", "scratch"];

/// The recipe of a method.
#[must_use]
pub fn recipe(method: &str, chapter: bool) -> Recipe {
    let plain = Recipe {
        epochs: 10,
        batch_size: 64,
        optimizer: Optimizer::Adam,
        learning_rate: 0.001,
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        label_smoothing: 0.0,
        augment: Augment::default(),
        seed: 0,
    };
    if chapter {
        return plain;
    }
    let learning_rate = match method {
        "scratch" => 0.005,
        "lora" => 0.01,
        "peft" => 0.02,
        "linear" => 0.02,
        _ => 0.003,
    };
    Recipe {
        epochs: 20,
        batch_size: 32,
        schedule: Schedule::OneCycle,
        learning_rate,
        ..plain
    }
}
