//! The default model, and the default recipe of each method.
//!
//! Epochs and learning rates were chosen on a validation split of the embedded training images,
//! never on the test images; `docs/defaults.md` has the measurements.

use finetune_data::Augment;
use finetune_methods::Method;
use finetune_methods::catalogue::LearningRates;
use finetune_model::Architecture;
use finetune_training::{Optimizer, Recipe, Schedule};

use super::mirror::Mirror;

/// The default model.
pub const MODEL: &str = "resnet8-64";

/// The chapter's network, whose weights are too large to ship.
pub const CHAPTER: &str = "chapter";

/// The name of the baseline that trains from random weights.
pub const SCRATCH: &str = "scratch";

/// The name of a method, or of the baseline if training starts `from_scratch`.
#[must_use]
pub fn name(method: &Method, from_scratch: bool) -> &'static str {
    if from_scratch { SCRATCH } else { method.name() }
}

/// The method of that name with default settings, and whether it starts from random weights.
#[must_use]
pub fn method(name: &str) -> Option<(Method, bool)> {
    if name == SCRATCH {
        return Some((Method::Sft, true));
    }
    let mut methods = Method::all().into_iter();
    methods
        .find(|method| method.name() == name)
        .map(|method| (method, false))
}

/// The names of all methods and of the baseline.
#[must_use]
pub fn all_methods() -> Vec<&'static str> {
    let names = Method::all().into_iter().map(|method| method.name());
    names.chain([SCRATCH]).collect()
}

/// The methods that a comparison runs by default, in order.
pub const METHODS: [&str; 5] = ["sft", "peft", "lora", "linear", SCRATCH];

/// Training images per class on which the default comparison is done as well: so few that pretraining
/// shows.
pub const FEW: usize = 25;

/// Learning rates from random weights.
const FROM_SCRATCH: LearningRates = LearningRates {
    small: 0.01,
    large: 0.001,
};

/// The kind of network that a recipe is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum For {
    /// The chapter's network, trained as published.
    Chapter,
    /// Networks for images of up to 64 pixels per side, including the default one.
    Small,
    /// Networks pretrained on `ImageNet`: a tenth of the small networks' learning rates (a fifth for
    /// `sft`).
    Large {
        /// Stochastic depth and dropout before the head, with which torchvision or timm train the
        /// whole network.
        drop_path: f64,
        /// See `drop_path`.
        head_dropout: f64,
    },
}

impl For {
    /// The kind of a model, judged by its image size.
    #[must_use]
    pub fn model(architecture: &Architecture) -> Self {
        if architecture.image_size <= 64 {
            Self::Small
        } else {
            Self::Large {
                drop_path: architecture.drop_path.unwrap_or(0.0),
                head_dropout: architecture.head_dropout,
            }
        }
    }
}

/// The default augmentation of a method: that of photographs for networks pretrained on `ImageNet`, except
/// for `linear`, whose features are then computed once and which has little to overfit with.
fn augment(name: &str, purpose: For) -> Augment {
    if matches!(purpose, For::Large { .. }) && name != "linear" {
        Augment::standard()
    } else {
        Augment::default()
    }
}

/// The default number of epochs of a method. Those of `linear` on large networks take no time, because its
/// features are computed once.
fn epochs(name: &str, purpose: For) -> usize {
    match (name, purpose) {
        ("linear", For::Large { .. }) => 40,
        _ => 12,
    }
}

/// Whether mirroring is left to what the names of the images say: if the recipe mirrors by default.
#[must_use]
pub fn mirror(recipe: &Recipe) -> Mirror {
    if recipe.augment.flip {
        Mirror::Auto
    } else {
        Mirror::Set
    }
}

/// The default recipe of a method, given by name.
#[must_use]
pub fn recipe(name: &str, purpose: For) -> Recipe {
    let plain = Recipe::new(Optimizer::Adam, 0.001);
    let rates = match method(name) {
        Some((method, false)) => method.learning_rates(),
        _ => Some(FROM_SCRATCH),
    };
    // Each image is shown once, as it is.
    let Some(rates) = rates else {
        return Recipe {
            epochs: 1,
            batch_size: 32,
            ..plain
        };
    };
    if purpose == For::Chapter {
        return plain;
    }
    let learning_rate = match purpose {
        For::Large { .. } => rates.large,
        For::Chapter | For::Small => rates.small,
    };
    // An adapter has little to overfit with.
    let trains_all = method(name).is_some_and(|(method, _)| !method.freezes_base());
    let (drop_path, head_dropout) = match purpose {
        For::Large {
            drop_path,
            head_dropout,
        } if trains_all => (drop_path, head_dropout),
        _ => (0.0, 0.0),
    };
    Recipe {
        epochs: epochs(name, purpose),
        batch_size: 32,
        // With few images that would be many of the steps: it costs the small network 3 points of `sft` and 8
        // of `lora` with 25 images a class.
        drop_last: matches!(purpose, For::Large { .. }),
        schedule: Schedule::OneCycle,
        // Without it, LoRA's default rate ends in a network that knows one class with two seeds of five.
        clip_norm: (purpose == For::Small).then_some(1.0),
        learning_rate,
        augment: augment(name, purpose),
        drop_path,
        head_dropout,
        ..plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_on_cached_features_has_more_epochs() {
        let of = |name: &str, model: &str| {
            let purpose = For::model(Architecture::find(model).unwrap());
            recipe(name, purpose).epochs
        };
        assert_eq!(of("linear", "mobilenet_v2"), 40);
        assert_eq!([of("sft", "mobilenet_v2"), of("linear", MODEL)], [12, 12]);
        assert_eq!(recipe("linear", For::Chapter).epochs, 10);
    }

    #[test]
    fn a_method_without_steps_shows_each_image_once_as_it_is() {
        for name in ["knn", "probe"] {
            for model in [MODEL, "mobilenet_v2"] {
                let of = recipe(name, For::model(Architecture::find(model).unwrap()));
                let once = (of.epochs, of.drop_last, of.augment == Augment::default());
                assert_eq!(once, (1, false, true), "{name} {model}");
            }
            assert_eq!(recipe(name, For::Chapter).epochs, 1);
        }
    }

    #[test]
    #[allow(clippy::float_cmp)] // values from a table
    fn dropout_is_for_methods_that_train_the_whole_network() {
        let of = |name: &str, model: &str| {
            let purpose = For::model(Architecture::find(model).unwrap());
            let recipe = recipe(name, purpose);
            (recipe.drop_path, recipe.head_dropout)
        };
        assert_eq!(of("sft", "convnext_tiny"), (0.1, 0.0));
        assert_eq!(of("scratch", "efficientnet_b0"), (0.2, 0.2));
        assert_eq!(of("sft", "mobilenet_v2"), (0.0, 0.2));
        assert_eq!(of("sft", "resnet18"), (0.0, 0.0));
        let methods = all_methods().into_iter();
        for name in methods.filter(|name| !["sft", SCRATCH].contains(name)) {
            assert_eq!(of(name, "efficientnet_b0"), (0.0, 0.0), "{name}");
        }
        // The demonstration is the small network's.
        assert_eq!(of("sft", MODEL), (0.0, 0.0));
    }
}
