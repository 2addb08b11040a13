//! A learning rate range test (Smith 2017, arXiv:1506.01186), as fastai's `lr_find`.

use std::ops::ControlFlow;

use burn::tensor::Device;
use finetune_methods::Adapted;

use super::observer::Observer;
use super::record::Step;
use super::train::train;
use crate::classifier::Classifier;
use crate::data::TrainingData;
use crate::error::TrainingError;
use crate::recipe::{Recipe, Schedule, Select};

/// The number of steps in a test.
const STEPS: usize = 100;
/// Learning rate of the first step; that of the last one is almost 10.
const FIRST_RATE: f64 = 1e-7;
/// Weight of the earlier losses in the smoothed loss.
const SMOOTHING: f64 = 0.98;

/// The outcome of a range test.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeTest {
    /// Learning rate of each step.
    pub rates: Vec<f64>,
    /// Smoothed training loss of each step.
    pub losses: Vec<f64>,
    /// The suggested learning rate: about half-way down the longest fall of the loss (fastai's
    /// `valley`).
    pub suggestion: f64,
}

/// Trains for up to 100 steps while the learning rate rises from 10⁻⁷ to 10, and ends early when
/// the smoothed loss exceeds four times its minimum. It uses the training images only.
///
/// The trained model is dropped, so attach a model for the test alone. The test ends early if
/// `stop`, which is called after each step, returns `true`.
///
/// # Errors
///
/// As [`train`], except that a loss that is NaN or infinite ends the test;
/// [`TrainingError::NoRate`] if the loss never falls.
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
        select: Select::Last,
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
        // Many tests end so, at a learning rate that is too large.
        Ok(_) | Err(TrainingError::NonFiniteLoss { .. }) => {}
        Err(error) => return Err(error),
    }
    let Watch { rates, losses, .. } = watch;
    // As in fastai, the first tenth of the steps and the last five do not count.
    let (from, to) = (STEPS / 10, losses.len().saturating_sub(5));
    let index = losses.get(from..to).and_then(valley);
    let index = index.ok_or(TrainingError::NoRate)?;
    Ok(RangeTest {
        suggestion: rates[from + index],
        rates,
        losses,
    })
}

/// Records rates and losses.
struct Watch<'a> {
    stop: &'a dyn Fn() -> bool,
    /// Exponential moving average of the loss that starts from 0.
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

/// The index of the loss that fastai's `valley` chooses: the middle of the second third of the
/// longest falling subsequence. `None` if no loss falls.
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
    // Half a third as fastai computes it, halved before rounding down.
    Some(start + third + (end - start) / 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_agrees_with_fastai() {
        // The losses are constant up to index 9, fall up to index 39 and then rise. The longest
        // falling subsequence ends at 39 and has length 31 (one constant loss and 30 that fall), so
        // fastai takes 8 as its start; 31/3 = 10.33 and 8 + 10 + 5 = 23.
        let mut losses = vec![2.0; 10];
        losses.extend((1..=30).map(|i| 2.0 - f64::from(i) * 0.05));
        losses.extend((1..=20).map(|i| 0.5 + f64::from(i)));
        assert_eq!(valley(&losses), Some(23));
        assert_eq!(valley(&[1.0, 2.0, 3.0]), None);
        assert_eq!(valley(&[]), None);
        // With two values, the subsequence has length 2 and ends at 1.
        assert_eq!(valley(&[2.0, 1.0]), Some(0));
    }
    #[test]
    fn a_test_ends_when_the_smoothed_loss_exceeds_four_times_its_minimum() {
        let watch = |losses: [f64; 2]| {
            let mut watch = Watch {
                stop: &|| false,
                average: 0.0,
                lowest: f64::INFINITY,
                rates: Vec::new(),
                losses: Vec::new(),
            };
            let ends = [1, 2].map(|step| {
                let step = Step {
                    step,
                    steps: 100,
                    epoch: 1,
                    loss: losses[step - 1],
                    accuracy: 0.0,
                    learning_rate: 0.1,
                    images: 1,
                    seconds: 0.0,
                };
                watch.on_step(&step).is_break()
            });
            (ends, watch.losses[1])
        };
        // The average of a and b, with the weights 0.98 and 1, is 8 for a = 2 and b = 13.88.
        let (ends, smooth) = watch([2.0, 13.88]);
        assert!(!ends[0] && (smooth - 8.0).abs() < 1e-9);
        assert_eq!(watch([2.0, 13.8]).0, [false, false]);
        assert_eq!(watch([2.0, 13.9]).0, [false, true]);
    }
}
