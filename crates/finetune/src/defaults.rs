//! Defaults of the recipe, for each method and preset.
//!
//! Epochs and learning rates were chosen on a validation split of the embedded training images,
//! never on the test images; `docs/defaults.md` has the measurements.

use finetune_methods::Method;
use finetune_methods::catalogue::LearningRates;
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

/// Learning rates from random weights.
const FROM_SCRATCH: LearningRates = LearningRates {
    small: 0.01,
    large: 0.001,
};

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
    let known = Method::all();
    let rates = match known.iter().find(|known| known.name() == method) {
        Some(method) => method.learning_rates(),
        None => FROM_SCRATCH,
    };
    let learning_rate = match purpose {
        For::Large => rates.large,
        For::Chapter | For::Small => rates.small,
    };
    Recipe {
        epochs: 12,
        batch_size: 32,
        schedule: Schedule::OneCycle,
        learning_rate,
        ..plain
    }
}
