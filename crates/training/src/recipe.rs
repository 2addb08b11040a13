//! The recipe of a run: epochs, batches, optimiser, schedule, augmentation.

use finetune_data::Augment;
use serde::{Deserialize, Serialize};

use crate::error::TrainingError;

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

/// How the learning rate changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Up along a line for the first 5 % of the steps, then down along half a cosine to 0.
    Cosine,
    /// PyTorch's `OneCycleLR` (Smith and Topin 2018): up along half a cosine from 1/25 for the
    /// first 30 % of the steps, then down along half a cosine to 1/250000.
    OneCycle,
}

impl Schedule {
    /// Factor of the learning rate at `step` (0 is the first) of `total`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(self, step: usize, total: usize) -> f64 {
        let cosine = |from: f64, to: f64, share: f64| {
            to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
        };
        let (step, total) = (step as f64, total as f64);
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let warm = (0.05 * total).ceil();
                if step < warm {
                    (step + 1.0) / warm
                } else {
                    cosine(1.0, 0.0, (step - warm) / (total - warm).max(1.0))
                }
            }
            Self::OneCycle => {
                // As PyTorch: the phases end at 0.3·total - 1 and total - 1.
                let (peak, last) = (0.3 * total - 1.0, total - 1.0);
                if step <= peak && peak > 0.0 {
                    cosine(1.0 / 25.0, 1.0, step / peak)
                } else {
                    cosine(
                        1.0,
                        1.0 / 25.0 / 1e4,
                        (step - peak) / (last - peak).max(1.0),
                    )
                }
            }
        }
    }
}

/// Whether what the frozen layers at the beginning of a model make of the images is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureCache {
    /// Where nothing random happens to the images and it fits a quarter of the free memory.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Everything about a run but the model, the method and the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images a step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Its (highest) learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of the target that is spread over all classes (Szegedy et al. 2016), in `[0, 1)`.
    pub label_smoothing: f64,
    /// Augmentation of the training images.
    pub augment: Augment,
    /// Seed of the order of the images and of their augmentation.
    pub seed: u64,
    /// Whether what frozen layers make of the images is computed once; results are the same.
    #[serde(default)]
    pub feature_cache: FeatureCache,
}

impl Recipe {
    /// 10 epochs of batches of 64 at a constant learning rate, nothing else: the chapter's recipe.
    #[must_use]
    pub fn new(optimizer: Optimizer, learning_rate: f64) -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            optimizer,
            learning_rate,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            augment: Augment::default(),
            seed: 0,
            feature_cache: FeatureCache::Auto,
        }
    }

    /// Checks every number's range.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Setting`], for the first that is out of its range.
    pub fn check(&self) -> Result<(), TrainingError> {
        let setting = |name, value: &dyn ToString, wanted| {
            Err(TrainingError::Setting {
                name,
                value: value.to_string(),
                wanted,
            })
        };
        if self.epochs == 0 {
            return setting("the number of epochs", &self.epochs, "at least 1");
        }
        if self.batch_size == 0 {
            return setting("the batch size", &self.batch_size, "at least 1");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return setting("the learning rate", &self.learning_rate, "above 0");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return setting("the weight decay", &self.weight_decay, "0 or above");
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return setting(
                "the label smoothing",
                &self.label_smoothing,
                "at least 0, below 1",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: Schedule, steps: &[usize], total: usize) -> Vec<f64> {
        steps
            .iter()
            .map(|step| schedule.factor(*step, total))
            .collect()
    }

    fn assert_near(found: &[f64], wanted: &[f64]) {
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{found} instead of {wanted}");
        }
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        // torch.optim.lr_scheduler.OneCycleLR(SGD(lr=1), max_lr=1, total_steps=20), PyTorch 2.15.
        let steps = [0, 2, 5, 6, 12, 19];
        assert_near(&factors(Schedule::OneCycle, &steps, 20), &ONE_CYCLE);
    }

    const ONE_CYCLE: [f64; 6] = [
        0.04,
        0.371_671_842_7,
        1.0,
        0.987_464_006_2,
        0.500_002,
        0.000_004,
    ];

    #[test]
    fn cosine_warms_up_and_falls_to_zero() {
        // 40 steps: 2 of warm-up, then (1 + cos(π k / 38)) / 2.
        assert_near(
            &factors(Schedule::Cosine, &[0, 1, 2, 21, 40], 40),
            &[0.5, 1.0, 1.0, 0.5, 0.0],
        );
        assert_near(&factors(Schedule::Constant, &[0, 39], 40), &[1.0, 1.0]);
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
    }
}
