//! Defaults of the recipe, for each method and preset.
//!
//! Epochs and learning rates were chosen on a validation split of the embedded training images,
//! never on the test images; `docs/defaults.md` has the measurements.

use finetune_methods::Method;
use finetune_model::Architecture;
use finetune_training::{Optimizer, Recipe, Schedule};

/// The default model.
pub const MODEL: &str = "resnet8-64";

/// A method by its name, with default settings.
#[must_use]
pub fn method(name: &str) -> Option<(Method, bool)> {
    if name == "scratch" {
        return Some((Method::Sft, true));
    }
    let mut methods = Method::all().into_iter();
    methods
        .find(|method| method.name() == name)
        .map(|method| (method, false))
}

/// Names of all methods, with `scratch`.
#[must_use]
pub fn all_methods() -> Vec<&'static str> {
    let names = Method::all().into_iter().map(|method| method.name());
    names.chain(["scratch"]).collect()
}

/// Names of the methods of a comparison, in its order.
pub const METHODS: [&str; 5] = ["sft", "peft", "lora", "linear", "scratch"];

/// What a recipe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The chapter's network, as published.
    Chapter,
    /// Networks for images of up to 64 pixels, the default one among them.
    Small,
    /// Networks pretrained on `ImageNet`: a tenth of the rates, and a fifth of sft's.
    Large,
}

impl For {
    /// A model with images of that size.
    #[must_use]
    pub fn model(architecture: &Architecture) -> Self {
        if architecture.image_size <= 64 {
            Self::Small
        } else {
            Self::Large
        }
    }
}

/// The recipe of a method.
#[must_use]
pub fn recipe(method: &str, purpose: For) -> Recipe {
    let plain = Recipe::new(Optimizer::Adam, 0.001);
    if purpose == For::Chapter {
        return plain;
    }
    let learning_rate = match method {
        "peft" | "linear" | "bitfit" | "norm" | "ia3" | "vera" => 0.1,
        "ssf" | "gps" | "lokr" | "adalora" => 0.03,
        "scratch" | "lora" | "shira" | "loha" | "vpt-deep" => 0.01,
        "adaptformer" => 0.001,
        _ => 0.005,
    };
    let learning_rate = match (purpose, method) {
        (For::Large, "adaptformer") => learning_rate,
        (For::Large, "sft") => learning_rate / 5.0,
        (For::Large, _) => learning_rate / 10.0,
        _ => learning_rate,
    };
    Recipe {
        epochs: 12,
        batch_size: 32,
        schedule: Schedule::OneCycle,
        learning_rate,
        ..plain
    }
}
