//! The recipe of a run: how a model is trained, whichever model, method and images these are.

mod choices;
mod schedule;

use finetune_data::Augment;
use serde::{Deserialize, Serialize};

use crate::error::TrainingError;

pub use choices::{ClassWeights, FeatureCache, FeatureDtype, Optimizer, Select};
pub use schedule::Schedule;

/// The settings of a training run.
///
/// A field that is missing in a file of an older version gets the value that the older version
/// used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // independent settings
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per forward pass.
    pub batch_size: usize,
    /// Whether an epoch leaves out its last images if they are fewer than a batch: their gradient
    /// would count as much as that of a whole batch, and `BatchNorm` would see fewer values. Images
    /// that are fewer than one batch are trained on nevertheless.
    #[serde(default)]
    pub drop_last: bool,
    /// Batches per optimiser step (gradient accumulation). The step equals that of one batch of
    /// `accumulate · batch_size` images, except that `BatchNorm` sees the smaller batches.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes from step to step.
    pub schedule: Schedule,
    /// Share of the steps over which the learning rate rises; `None` stands for the
    /// [schedule's own](Schedule::default_warmup).
    #[serde(default)]
    pub warmup: Option<f64>,
    /// Whether a schedule that has a course for the momentum of SGD or Adam's β₁ changes it, as
    /// PyTorch's `OneCycleLR` does; otherwise it is always 0.9.
    #[serde(default)]
    pub cycle_momentum: bool,
    /// Learning rate of the head divided by that of the rest.
    #[serde(default = "unchanged")]
    pub head_lr_ratio: f64,
    /// Learning rate of each block divided by that of the next block towards the head (Clark et al.
    /// 2020; Bao et al. 2022, `BEiT`).
    #[serde(default = "unchanged")]
    pub layer_decay: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether weight decay also applies to biases, normalisations and position embeddings.
    #[serde(default = "yes")]
    pub decay_all: bool,
    /// Largest norm of the gradients of a step, taken over all parameters together; larger
    /// gradients are scaled down to it (Pascanu et al. 2013).
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// Probability that a residual branch of the last block is left out while training, for each image
    /// (stochastic depth); it falls linearly to 0 towards the first block. For networks that have
    /// [such branches](finetune_model::Stage::depth), and methods that train all of them.
    #[serde(default)]
    pub drop_path: f64,
    /// Probability of dropout on the input of the head, for methods that train the whole network.
    #[serde(default)]
    pub head_dropout: f64,
    /// Share of the target that is spread over all classes (Szegedy et al. 2016), in `[0, 1)`.
    pub label_smoothing: f64,
    /// How much each class counts in the loss.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Decay per step, in `(0, 1)`, of a moving average of the weights, which is validated and
    /// saved in their place.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Number of epochs until the whole network trains. In the first epoch only the head trains;
    /// then block after block joins, from the head down (Howard and Ruder 2018, ULMFiT).
    #[serde(default)]
    pub unfreeze_epochs: usize,
    /// End the run after this many epochs without a better validation accuracy.
    #[serde(default)]
    pub patience: Option<usize>,
    /// The epoch whose weights the run ends with. It is called `keep` in files.
    #[serde(default, rename = "keep")]
    pub select: Select,
    /// Augmentation of the training images.
    pub augment: Augment,
    /// Number of fixed augmented views per training image, which are used in rotation; `None` draws
    /// a new one in each epoch. Mixing is not part of a view: it is drawn anew in each epoch.
    #[serde(default)]
    pub augment_views: Option<usize>,
    /// Seed of the order and the augmentation of the images, and of dropout.
    pub seed: u64,
    /// Where the features of frozen layers are cached. This changes the speed, not the result.
    #[serde(default)]
    pub feature_cache: FeatureCache,
    /// The type in which these features are cached.
    #[serde(default)]
    pub feature_dtype: FeatureDtype,
    /// Whether the backward pass computes the activations inside each block again instead of
    /// storing them (gradient checkpointing): less memory, about a quarter more time, the same
    /// result.
    #[serde(default)]
    pub gradient_checkpointing: bool,
}

/// The most epochs, images per batch and batches per step: products of two of them do not overflow.
const MOST: usize = 1_000_000;

fn one() -> usize {
    1
}

fn unchanged() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

/// The largest learning rate, norm and weight decay: steps are computed in `f32`.
const LARGEST_STEP: f64 = 1e38;

impl Recipe {
    /// 10 epochs of batches of 64 images at a constant learning rate and no regularisation.
    #[must_use]
    pub fn new(optimizer: Optimizer, learning_rate: f64) -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            drop_last: false,
            accumulate: 1,
            optimizer,
            learning_rate,
            schedule: Schedule::Constant,
            warmup: None,
            cycle_momentum: true,
            head_lr_ratio: 1.0,
            layer_decay: 1.0,
            weight_decay: 0.0,
            decay_all: false,
            clip_norm: None,
            drop_path: 0.0,
            head_dropout: 0.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            ema: None,
            unfreeze_epochs: 0,
            patience: None,
            select: Select::Last,
            augment: Augment::default(),
            augment_views: None,
            seed: 0,
            feature_cache: FeatureCache::Auto,
            feature_dtype: FeatureDtype::F32,
            gradient_checkpointing: false,
        }
    }

    /// The learning rate of step `step` (from 0) of a run of `steps` steps.
    #[must_use]
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        self.learning_rate * self.schedule.factor(step, steps, self.warmup)
    }

    /// The momentum of SGD or Adam's β₁ at step `step` (from 0) of a run of `steps` steps.
    #[must_use]
    pub fn momentum(&self, step: usize, steps: usize) -> f64 {
        let cycled = self.schedule.momentum(step, steps, self.warmup);
        cycled.filter(|_| self.cycle_momentum).unwrap_or(0.9)
    }

    /// The number of optimiser steps in an epoch of `images` images.
    #[must_use]
    pub fn steps_per_epoch(&self, images: usize) -> usize {
        let batches = if self.drops_last(images) {
            images / self.batch_size
        } else {
            images.div_ceil(self.batch_size)
        };
        batches.div_ceil(self.accumulate)
    }

    /// Whether an epoch of `images` images has only whole batches.
    pub(crate) fn drops_last(&self, images: usize) -> bool {
        self.drop_last && images >= self.batch_size
    }

    /// The view (from 1) of each image that an epoch (from 1) shows; `None` if the number of views
    /// is not limited.
    pub(crate) fn view(&self, epoch: usize) -> Option<usize> {
        let views = self.augment_views?;
        Some((epoch - 1) % views.max(1) + 1)
    }

    /// The number of views per training image whose features are worth caching: `None` if images
    /// differ in every epoch, or if no view is shown twice.
    pub(crate) fn cached_views(&self) -> Option<usize> {
        let views = if self.augment == Augment::default() {
            1
        } else {
            self.augment_views.filter(|_| !self.augment.mixes())?
        };
        Some(views).filter(|views| *views < self.epochs)
    }

    /// Whether the recipe selects an epoch or ends the run by validation accuracy.
    #[must_use]
    pub fn needs_validation(&self) -> bool {
        self.patience.is_some() || self.select == Select::Best
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Setting`] names the first setting that is out of range.
    pub fn check(&self) -> Result<(), TrainingError> {
        let share = |value: f64| (0.0..1.0).contains(&value);
        let check = |name, value: &dyn ToString, wanted, valid: bool| {
            if valid {
                return Ok(());
            }
            Err(TrainingError::Setting {
                name,
                value: value.to_string(),
                wanted,
            })
        };
        let counted = |name, value: usize| {
            check(name, &value, "at least 1", value > 0)?;
            let wanted = "from 1 to 1000000";
            check(name, &value, wanted, (1..=MOST).contains(&value))
        };
        counted("the number of epochs", self.epochs)?;
        counted("the batch size", self.batch_size)?;
        counted("the number of batches per optimiser step", self.accumulate)?;
        counted("the patience", self.patience.unwrap_or(1))?;
        let views = self.augment_views.unwrap_or(1);
        counted("the number of views per image", views)?;
        let cached =
            self.feature_dtype == FeatureDtype::F32 || self.feature_cache != FeatureCache::Off;
        let wanted = "f32 if the feature cache is off";
        check("the type of cached features", &"f16", wanted, cached)?;
        let positive = |name, value: f64| {
            check(name, &value, "above 0", value > 0.0)?;
            check(name, &value, "at most 1e38", value <= LARGEST_STEP)
        };
        positive("the learning rate", self.learning_rate)?;
        positive("the learning rate ratio of the head", self.head_lr_ratio)?;
        positive("the gradient norm", self.clip_norm.unwrap_or(1.0))?;
        let wanted = "at least 0 and below 1";
        let below_1 = |name, value: f64| check(name, &value, wanted, share(value));
        below_1("the label smoothing", self.label_smoothing)?;
        below_1("the probability of stochastic depth", self.drop_path)?;
        below_1("the dropout of the head", self.head_dropout)?;
        below_1("the warm-up share", self.warmup.unwrap_or(0.0))?;
        let ema = self.ema.unwrap_or(0.5);
        let name = "the decay of the weight average";
        check(name, &ema, "above 0 and below 1", ema > 0.0 && share(ema))?;
        let decay = self.layer_decay;
        let valid = decay > 0.0 && decay <= 1.0;
        check("the layer decay", &decay, "above 0 and at most 1", valid)?;
        let decay = self.weight_decay;
        let valid = (0.0..=LARGEST_STEP).contains(&decay);
        check(
            "the weight decay",
            &decay,
            "at least 0 and at most 1e38",
            valid,
        )?;
        if let Err((name, value, wanted)) = self.augment.check() {
            return Err(TrainingError::Setting {
                name,
                value,
                wanted,
            });
        }
        let epochs = self.unfreeze_epochs;
        let valid = epochs == 0 || epochs < self.epochs;
        let name = "the number of epochs until the whole network trains";
        check(name, &epochs, "below the number of epochs", valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_shown_in_rotation() {
        let recipe = Recipe {
            augment_views: Some(3),
            augment: Augment::light(),
            epochs: 7,
            ..Recipe::new(Optimizer::Adam, 0.001)
        };
        let views: Vec<_> = (1..=7).filter_map(|epoch| recipe.view(epoch)).collect();
        assert_eq!(views, [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(recipe.cached_views(), Some(3));
        let cached = |change: fn(&mut Recipe)| {
            let mut recipe = recipe.clone();
            change(&mut recipe);
            recipe.cached_views()
        };
        // If each view is shown only once, caching saves nothing. Mixing combines different images
        // in each epoch, so their features cannot be cached.
        assert_eq!(cached(|r| r.epochs = 3), None);
        assert_eq!(cached(|r| r.augment.mixup = 0.2), None);
        assert_eq!(cached(|r| r.augment_views = None), None);
        // Without random augmentation, all views are the same.
        assert_eq!(cached(|r| r.augment = Augment::default()), Some(1));
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        let error = |change: fn(&mut Recipe)| {
            let mut recipe = Recipe::new(Optimizer::Adam, 0.001);
            change(&mut recipe);
            recipe.check().unwrap_err().to_string()
        };
        assert_eq!(
            error(|r| r.epochs = 0),
            "the number of epochs is 0, but must be at least 1"
        );
        assert_eq!(
            error(|r| r.learning_rate = -1.0),
            "the learning rate is -1, but must be above 0"
        );
        assert_eq!(
            error(|r| r.label_smoothing = 1.0),
            "the label smoothing is 1, but must be at least 0 and below 1"
        );
        assert_eq!(
            error(|r| r.ema = Some(f64::NAN)),
            "the decay of the weight average is NaN, but must be above 0 and below 1"
        );
        assert_eq!(
            error(|r| r.unfreeze_epochs = 10),
            "the number of epochs until the whole network trains is 10, but must be below the \
             number of epochs"
        );
        for change in [
            |r: &mut Recipe| r.accumulate = 0,
            |r: &mut Recipe| r.patience = Some(0),
            |r: &mut Recipe| r.head_lr_ratio = 0.0,
            |r: &mut Recipe| r.clip_norm = Some(f64::INFINITY),
            |r: &mut Recipe| r.warmup = Some(1.0),
            |r: &mut Recipe| r.layer_decay = 1.5,
            |r: &mut Recipe| r.drop_path = 1.0,
            |r: &mut Recipe| r.head_dropout = -0.1,
            |r: &mut Recipe| r.weight_decay = -0.1,
        ] {
            error(change);
        }
    }

    #[test]
    fn fields_that_older_files_lack_default_to_the_old_behaviour() {
        let old = r#"{"epochs": 3, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.1,
            "schedule": "one-cycle", "weight_decay": 0.5, "label_smoothing": 0.0,
            "augment": {}, "seed": 4}"#;
        let mut old: serde_json::Value = serde_json::from_str(old).unwrap();
        old["augment"] = serde_json::to_value(Augment::default()).unwrap();
        let old: Recipe = serde_json::from_value(old).unwrap();
        let expected = Recipe {
            epochs: 3,
            batch_size: 8,
            schedule: Schedule::OneCycle,
            weight_decay: 0.5,
            decay_all: true,
            cycle_momentum: false,
            seed: 4,
            ..Recipe::new(Optimizer::AdamW, 0.1)
        };
        assert_eq!(old, expected);
        old.check().unwrap();
    }

    #[test]
    fn accumulated_batches_count_as_one_step() {
        let recipe = Recipe {
            batch_size: 8,
            accumulate: 3,
            ..Recipe::new(Optimizer::Adam, 0.001)
        };
        for (images, steps) in [(1, 1), (24, 1), (25, 2), (48, 2), (49, 3)] {
            assert_eq!(recipe.steps_per_epoch(images), steps, "{images}");
        }
    }

    #[test]
    fn a_ragged_last_batch_is_no_step_unless_it_is_the_only_one() {
        let steps = |images, accumulate| {
            let recipe = Recipe {
                batch_size: 8,
                drop_last: true,
                accumulate,
                ..Recipe::new(Optimizer::Adam, 0.001)
            };
            recipe.steps_per_epoch(images)
        };
        let of = |accumulate| [1, 7, 8, 15, 16, 39, 40].map(|images| steps(images, accumulate));
        assert_eq!(of(1), [1, 1, 1, 1, 2, 4, 5]);
        // A step of fewer batches is no ragged batch.
        assert_eq!(of(3), [1, 1, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn the_selected_epoch_is_named_keep_in_files() {
        let recipe = Recipe {
            select: Select::Best,
            ..Recipe::new(Optimizer::Adam, 0.001)
        };
        let json = serde_json::to_value(&recipe).unwrap();
        assert_eq!(json["keep"], "best");
        assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), recipe);
    }
}
