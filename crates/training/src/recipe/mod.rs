//! The recipe of a run: epochs, batches, optimiser, schedule, augmentation.

pub(crate) mod schedule;

use finetune_data::Augment;
use serde::{Deserialize, Serialize};

use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::features::dtype::FeatureDtype;
use crate::recipe::schedule::Schedule;
use crate::step::segments::Segments;

/// The optimisers, with PyTorch's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015), betas 0.9 and 0.999, epsilon 1e-8.
    Adam,
    /// `AdamW` (Loshchilov and Hutter 2019), likewise, with decoupled weight decay.
    AdamW,
    /// Stochastic gradient descent with momentum 0.9.
    Sgd,
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// As often as it occurs.
    #[default]
    None,
    /// All classes alike: an image of a class counts `images / (classes · images of the class)`.
    Balanced,
}

/// Whose weights a run ends with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The last epoch's.
    #[default]
    Last,
    /// The epoch's with the highest validation accuracy; of equals the one with the lowest
    /// validation loss.
    Best,
}

/// Whether what the frozen layers at the beginning of a model make of the images is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureCache {
    /// Where nothing random happens to the images and there is room: in memory up to 64 MiB, beyond it
    /// in a file of the cache folder as [`File`](Self::File), or in memory as
    /// [`Memory`](Self::Memory). A file that cannot be made or written is done without.
    #[default]
    Auto,
    /// In memory, where it fits a quarter of what is free.
    Memory,
    /// In a file of the cache folder, where it fits the folder's limit and half of what is free on its
    /// disk. One that cannot be made or written is an error.
    File,
    /// Never.
    Off,
}

/// Everything about a run but the model, the method and the images.
///
/// Fields that older files lack mean what was done then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a forward pass; the last one of an epoch takes what is left.
    pub batch_size: usize,
    /// Forward passes a step: it is the step of a batch as many times as large, but for what
    /// `BatchNorm` computes from a batch.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Its (highest) learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Share of the steps over which the learning rate rises; `None` is the schedule's own.
    #[serde(default)]
    pub warmup: Option<f64>,
    /// The head's learning rate is this many times the rest's.
    #[serde(default = "unchanged")]
    pub head_lr_ratio: f64,
    /// The learning rate of each block is this many times that of the block above (Clark et al.
    /// 2020; Bao et al. 2022, `BEiT`): 1 is the same everywhere.
    #[serde(default = "unchanged")]
    pub layer_decay: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether biases, normalisations and position embeddings decay as well.
    #[serde(default = "yes")]
    pub decay_all: bool,
    /// The gradients of a step are scaled down to this norm, all of them together, where theirs is
    /// larger (Pascanu et al. 2013).
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// Share of the target that is spread over all classes (Szegedy et al. 2016), in `[0, 1)`.
    pub label_smoothing: f64,
    /// How much each class counts.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Decay of the moving average of the weights that is tested and kept instead of them, in
    /// `(0, 1)`.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Epochs over which the network thaws: the head alone in the first one, then block after block
    /// from the top (Howard and Ruder 2018, ULMFiT).
    #[serde(default)]
    pub unfreeze_epochs: usize,
    /// The run ends after this many epochs without a better validation accuracy.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Whose weights it ends with.
    #[serde(default)]
    pub keep: Keep,
    /// Augmentation of the training images.
    pub augment: Augment,
    /// Each training image is shown in so many ways and no more, which take turns over the epochs;
    /// `None` is another one in each. Mixing is no part of a view.
    #[serde(default)]
    pub augment_views: Option<usize>,
    /// Seed of the order of the images and of their augmentation.
    pub seed: u64,
    /// Whether what frozen layers make of the images is computed once; results are the same.
    #[serde(default)]
    pub feature_cache: FeatureCache,
    /// How the features of frozen layers are kept.
    #[serde(default)]
    pub feature_dtype: FeatureDtype,
    /// Whether only what flows between the network's blocks is kept for the backward pass, and the
    /// rest computed again: less memory, about a quarter more time, the same results.
    #[serde(default)]
    pub gradient_checkpointing: bool,
}

fn one() -> usize {
    1
}

fn unchanged() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl Recipe {
    /// 10 epochs of batches of 64 at a constant learning rate, nothing else: the chapter's recipe.
    #[must_use]
    pub fn new(optimizer: Optimizer, learning_rate: f64) -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            accumulate: 1,
            optimizer,
            learning_rate,
            schedule: Schedule::Constant,
            warmup: None,
            head_lr_ratio: 1.0,
            layer_decay: 1.0,
            weight_decay: 0.0,
            decay_all: false,
            clip_norm: None,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            ema: None,
            unfreeze_epochs: 0,
            patience: None,
            keep: Keep::Last,
            augment: Augment::default(),
            augment_views: None,
            seed: 0,
            feature_cache: FeatureCache::Auto,
            feature_dtype: FeatureDtype::F32,
            gradient_checkpointing: false,
        }
    }

    /// Learning rate of `step` (0 is the first) of `steps`.
    #[must_use]
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        self.learning_rate * self.schedule.factor(step, steps, self.warmup)
    }

    /// Steps of an epoch of so many images.
    #[must_use]
    pub fn steps_per_epoch(&self, images: usize) -> usize {
        images.div_ceil(self.batch_size).div_ceil(self.accumulate)
    }

    /// The view that an epoch, from 1, shows of each image, where there are so many and no more.
    pub(crate) fn view(&self, epoch: usize) -> Option<usize> {
        let views = self.augment_views?;
        Some((epoch - 1) % views.max(1) + 1)
    }

    /// How many views of each training image have features that can be kept, and are worth it because
    /// there are more epochs.
    pub(crate) fn kept_views(&self) -> Option<usize> {
        let views = if self.augment == Augment::default() {
            1
        } else {
            self.augment_views.filter(|_| !self.augment.mixes())?
        };
        Some(views).filter(|views| *views < self.epochs)
    }

    /// What is computed twice of a model as it trains now.
    pub(crate) fn segments<M: Classifier>(&self, model: &M) -> Segments {
        if self.gradient_checkpointing {
            Segments::of(model)
        } else {
            Segments::none()
        }
    }

    /// Whether something is chosen by validation images.
    #[must_use]
    pub fn needs_validation(&self) -> bool {
        self.patience.is_some() || self.keep == Keep::Best
    }

    /// Checks every number's range.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Setting`], for the first that is out of its range.
    pub fn check(&self) -> Result<(), TrainingError> {
        let above_0 = |value: f64| value.is_finite() && value > 0.0;
        let share = |value: f64| (0.0..1.0).contains(&value);
        let check = |name, value: &dyn ToString, wanted, right: bool| {
            if right {
                return Ok(());
            }
            Err(TrainingError::Setting {
                name,
                value: value.to_string(),
                wanted,
            })
        };
        let at_least_1 = |name, value: usize| check(name, &value, "at least 1", value > 0);
        at_least_1("the number of epochs", self.epochs)?;
        at_least_1("the batch size", self.batch_size)?;
        at_least_1("the number of batches a step", self.accumulate)?;
        at_least_1("the patience", self.patience.unwrap_or(1))?;
        let views = self.augment_views.unwrap_or(1);
        at_least_1("the number of views of an image", views)?;
        let kept =
            self.feature_dtype == FeatureDtype::F32 || self.feature_cache != FeatureCache::Off;
        let wanted = "f32 where they are kept nowhere";
        check("the type of kept features", &"f16", wanted, kept)?;
        let positive = |name, value: f64| check(name, &value, "above 0", above_0(value));
        positive("the learning rate", self.learning_rate)?;
        positive("the head's learning rate ratio", self.head_lr_ratio)?;
        positive("the gradients' norm", self.clip_norm.unwrap_or(1.0))?;
        let below_1 = |name, value: f64| check(name, &value, "at least 0, below 1", share(value));
        below_1("the label smoothing", self.label_smoothing)?;
        below_1("the share of warm-up", self.warmup.unwrap_or(0.0))?;
        let ema = self.ema.unwrap_or(0.5);
        let name = "the decay of the weights' average";
        check(name, &ema, "above 0, below 1", ema > 0.0 && share(ema))?;
        let decay = self.layer_decay;
        let name = "the layer-wise decay";
        check(
            name,
            &decay,
            "above 0, at most 1",
            decay > 0.0 && decay <= 1.0,
        )?;
        let decay = self.weight_decay;
        let right = decay.is_finite() && decay >= 0.0;
        check("the weight decay", &decay, "0 or above", right)?;
        let thawing = self.unfreeze_epochs;
        let name = "the number of epochs that the network thaws over";
        let right = thawing == 0 || thawing < self.epochs;
        check(name, &thawing, "below the number of epochs", right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_take_turns_over_the_epochs() {
        let recipe = Recipe {
            augment_views: Some(3),
            augment: Augment::light(),
            epochs: 7,
            ..Recipe::new(Optimizer::Adam, 0.001)
        };
        let views: Vec<_> = (1..=7).filter_map(|epoch| recipe.view(epoch)).collect();
        assert_eq!(views, [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(recipe.kept_views(), Some(3));
        let kept = |change: fn(&mut Recipe)| {
            let mut recipe = recipe.clone();
            change(&mut recipe);
            recipe.kept_views()
        };
        // As many as epochs gain nothing; mixing brings other images together each time.
        assert_eq!(kept(|r| r.epochs = 3), None);
        assert_eq!(kept(|r| r.augment.mixup = 0.2), None);
        assert_eq!(kept(|r| r.augment_views = None), None);
        // Nothing random: all views are the same.
        assert_eq!(kept(|r| r.augment = Augment::default()), Some(1));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let refused = |change: fn(&mut Recipe)| {
            let mut recipe = Recipe::new(Optimizer::Adam, 0.001);
            change(&mut recipe);
            recipe.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|r| r.epochs = 0),
            "the number of epochs is 0, but must be at least 1"
        );
        assert_eq!(
            refused(|r| r.learning_rate = -1.0),
            "the learning rate is -1, but must be above 0"
        );
        assert_eq!(
            refused(|r| r.label_smoothing = 1.0),
            "the label smoothing is 1, but must be at least 0, below 1"
        );
        assert_eq!(
            refused(|r| r.ema = Some(f64::NAN)),
            "the decay of the weights' average is NaN, but must be above 0, below 1"
        );
        assert_eq!(
            refused(|r| r.unfreeze_epochs = 10),
            "the number of epochs that the network thaws over is 10, but must be below the number \
             of epochs"
        );
        for change in [
            |r: &mut Recipe| r.accumulate = 0,
            |r: &mut Recipe| r.patience = Some(0),
            |r: &mut Recipe| r.head_lr_ratio = 0.0,
            |r: &mut Recipe| r.clip_norm = Some(f64::INFINITY),
            |r: &mut Recipe| r.warmup = Some(1.0),
            |r: &mut Recipe| r.layer_decay = 1.5,
            |r: &mut Recipe| r.weight_decay = -0.1,
        ] {
            refused(change);
        }
    }

    #[test]
    fn recipes_of_older_files_mean_what_they_meant() {
        let old = r#"{"epochs": 3, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.1,
            "schedule": "one-cycle", "weight_decay": 0.5, "label_smoothing": 0.0,
            "augment": {}, "seed": 4}"#;
        let mut old: serde_json::Value = serde_json::from_str(old).unwrap();
        old["augment"] = serde_json::to_value(Augment::default()).unwrap();
        let old: Recipe = serde_json::from_value(old).unwrap();
        let meant = Recipe {
            epochs: 3,
            batch_size: 8,
            schedule: Schedule::OneCycle,
            weight_decay: 0.5,
            decay_all: true,
            seed: 4,
            ..Recipe::new(Optimizer::AdamW, 0.1)
        };
        assert_eq!(old, meant);
        old.check().unwrap();
    }

    #[test]
    fn an_epoch_has_as_many_steps_as_large_batches() {
        let recipe = Recipe {
            batch_size: 8,
            accumulate: 3,
            ..Recipe::new(Optimizer::Adam, 0.001)
        };
        for (images, steps) in [(1, 1), (24, 1), (25, 2), (48, 2), (49, 3)] {
            assert_eq!(recipe.steps_per_epoch(images), steps, "{images}");
        }
    }
}
