//! A learning rate range test (Smith 2017, arXiv:1506.01186), as fastai's `lr_find`.

use std::ops::ControlFlow;

use burn::tensor::Device;
use finetune_methods::Adapted;

use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::observer::{Observer, Step};
use crate::recipe::{Keep, Recipe};
use crate::schedule::Schedule;
use crate::train::{TrainingData, train};

/// Steps of a test, and the rate of its first one; the last one's is 10.
const STEPS: usize = 100;
const FIRST_RATE: f64 = 1e-7;
/// Weight of the losses before in the smoothed one.
const SMOOTHING: f64 = 0.98;

/// What a range test saw.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeTest {
    /// Learning rate of each step.
    pub rates: Vec<f64>,
    /// Training loss of each step, smoothed.
    pub losses: Vec<f64>,
    /// The rate to train with: half-way down the longest fall of the loss (fastai's `valley`).
    pub suggestion: f64,
}

/// Trains for up to 100 steps while the learning rate rises from 10⁻⁷ to 10, until the smoothed loss
/// is four times its lowest; sees the training images only.
///
/// What is trained is thrown away: attach a model for it alone. `stop` ends the test early.
///
/// # Errors
///
/// As [`train`], and [`TrainingError::NoRate`] where the loss never falls.
pub fn range_test<M: Classifier>(
    attached: Adapted<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Result<RangeTest, TrainingError> {
    recipe.check()?;
    let per_epoch = recipe.steps_per_epoch(data.train.len()).max(1);
    let recipe = Recipe {
        epochs: STEPS.div_ceil(per_epoch),
        learning_rate: FIRST_RATE,
        schedule: Schedule::Sweep,
        warmup: None,
        ema: None,
        unfreeze_epochs: 0,
        patience: None,
        keep: Keep::Last,
        ..recipe.clone()
    };
    let data = TrainingData {
        valid: None,
        ..*data
    };
    let mut watch = Watch {
        stop,
        average: 0.0,
        lowest: f64::INFINITY,
        rates: Vec::new(),
        losses: Vec::new(),
    };
    match train(attached, &data, &recipe, device, &mut watch) {
        // A loss that breaks is what ends many a test.
        Ok(_) | Err(TrainingError::NonFiniteLoss { .. }) => {}
        Err(error) => return Err(error),
    }
    let Watch { rates, losses, .. } = watch;
    // As fastai: without the first tenth of the steps and the last five.
    let (from, to) = (STEPS / 10, losses.len().saturating_sub(5));
    let index = losses.get(from..to).and_then(valley);
    let index = index.ok_or(TrainingError::NoRate)?;
    Ok(RangeTest {
        suggestion: rates[from + index],
        rates,
        losses,
    })
}

struct Watch<'a> {
    stop: &'a dyn Fn() -> bool,
    average: f64,
    lowest: f64,
    rates: Vec<f64>,
    losses: Vec<f64>,
}

impl Observer for Watch<'_> {
    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        self.average = step.loss * (1.0 - SMOOTHING) + self.average * SMOOTHING;
        let weights: f64 = 1.0 - (0..step.step).fold(1.0, |power, _| power * SMOOTHING);
        let smooth = self.average / weights;
        self.rates.push(step.learning_rate);
        self.losses.push(smooth);
        self.lowest = self.lowest.min(smooth);
        if smooth > 4.0 * self.lowest || step.step >= STEPS || (self.stop)() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Index of the rate that fastai's `valley` suggests: from the longest falling subsequence of the
/// losses, half of its second third in. `None` where nothing falls.
fn valley(losses: &[f64]) -> Option<usize> {
    let mut lengths = vec![1_usize; losses.len()];
    let mut end = 0;
    for i in 1..losses.len() {
        for j in 0..i {
            if losses[i] < losses[j] && lengths[i] < lengths[j] + 1 {
                lengths[i] = lengths[j] + 1;
            }
            if lengths[end] < lengths[i] {
                end = i;
            }
        }
    }
    let length = *lengths.get(end)?;
    if length < 2 {
        return None;
    }
    let start = end.saturating_sub(length);
    let third = (end - start) / 3;
    // As fastai, which halves the third before it cuts it off.
    Some(start + third + (end - start) / 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_is_fastais() {
        // Flat to index 9, falling to index 39, then rising: `lds` ends at 39 with length 31 (one
        // of the flat ones and 30 that fall), so it starts at 8; 31/3 = 10.33, 8 + 10 + 5.
        let mut losses = vec![2.0; 10];
        losses.extend((1..=30).map(|i| 2.0 - f64::from(i) * 0.05));
        losses.extend((1..=20).map(|i| 0.5 + f64::from(i)));
        assert_eq!(valley(&losses), Some(23));
        assert_eq!(valley(&[1.0, 2.0, 3.0]), None);
        assert_eq!(valley(&[]), None);
        // Two values: length 2, end 1.
        assert_eq!(valley(&[2.0, 1.0]), Some(0));
    }
}
