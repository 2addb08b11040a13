//! The training loop. It is read once, from top to bottom; there is no other one.

use std::time::Instant;

use burn::tensor::Device;
use finetune_data::{Images, Loader, Normalization, Order};
use finetune_methods::Adapted;

use crate::checkpoint::Checkpoint;
use crate::classifier::{Classifier, Predictions, in_order, predict};
use crate::error::TrainingError;
use crate::features::{Frozen, Input, KeptFeatures};
use crate::gradients::{Passes, clipped, pass};
use crate::loss::{CrossEntropy, balanced};
use crate::observer::{Epoch, Observer, Step};
use crate::recipe::{ClassWeights, Recipe};
use crate::run::Run;
use crate::segments::Draws;
use crate::sums::{Sums, ratio};
use crate::thaw::Thaw;

/// The images of a run.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    /// To learn from.
    pub train: &'a Images,
    /// To watch the run with and to choose by, if any; never the test set.
    pub valid: Option<&'a Images>,
    /// How values are normalised.
    pub normalization: Normalization,
}

/// A trained model and how it came about.
#[derive(Debug)]
pub struct Trained<M> {
    /// The model, still with its adapters and ready to go on training.
    pub model: M,
    /// Its epochs.
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights the model has, where that is not the last one's.
    pub best: Option<usize>,
    /// Duration of each step in seconds: batch, forward, backward, update.
    pub step_seconds: Vec<f64>,
    /// Duration of the run in seconds.
    pub seconds: f64,
    /// Whether the observer stopped it before its last step.
    pub stopped: bool,
    /// What was computed once instead of at every step, if anything; its time is in `seconds`.
    pub features: Option<KeptFeatures>,
}

/// Trains a model by a recipe.
///
/// The same model, images, recipe, device and thread count give the same result to the bit.
///
/// # Errors
///
/// A recipe out of range, no images, one that cannot be read, or a loss that is no number any
/// more.
pub fn train<M: Classifier>(
    attached: Adapted<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
) -> Result<Trained<M>, TrainingError> {
    resume(attached, data, recipe, device, observer, None)
}

/// The same, going on from a checkpoint of the same run: what comes out is to the bit what a run
/// that was never broken off would have given.
///
/// # Errors
///
/// As [`train`], and [`TrainingError::Checkpoint`] where it is another run's.
#[allow(clippy::too_many_lines)] // The whole story on one page.
pub fn resume<M: Classifier>(
    attached: Adapted<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
    from: Option<&Checkpoint>,
) -> Result<Trained<M>, TrainingError> {
    recipe.check()?;
    data.check(recipe)?;
    let steps = recipe.epochs * recipe.steps_per_epoch(data.train.len());
    let criterion = data.criterion(recipe, device);
    let thaw = Thaw::new(recipe.unfreeze_epochs, attached.model());
    let mut run = Run::new(attached, recipe, steps);
    if let Some(from) = from {
        run = from.restore(run)?;
    }

    let (before, start) = (run.progress.seconds, Instant::now());
    let frozen = Frozen::compute(&run.model, data, recipe, device, observer)?;
    observer.on_start();
    let mut stopped = false;
    for epoch in run.progress.epochs.len() + 1..=recipe.epochs {
        if let Some(best) = run.patience_is_over(recipe) {
            observer.on_patience(best);
            break;
        }
        let epoch_start = Instant::now();
        let mut sums = Sums::default();
        let mut rate = recipe.learning_rate;
        run.model = thaw.before(epoch, run.model);
        let passes = Passes {
            accumulate: recipe.accumulate,
            criterion: &criterion,
            outer: recipe.clip_norm.is_none() && recipe.accumulate == 1 && run.dynamics.is_none(),
            segments: recipe.segments(&run.model),
            draws: Draws::new(device, recipe.seed),
        };
        let loader = data.batches(recipe, epoch, device);
        let features = frozen.as_ref().map(|frozen| frozen.train(recipe, epoch));
        let mut batches = Input::all(features, loader, recipe.batch_size, device);
        let mut step_start = Instant::now();
        while let Some(pass) = pass(
            &run.model,
            &mut batches,
            run.step(),
            &passes,
            run.dynamics.as_ref(),
        )? {
            let step = run.step();
            rate = recipe.rate(step - 1, steps);
            if !pass.loss.is_finite() {
                return Err(TrainingError::NonFiniteLoss {
                    loss: pass.loss,
                    epoch,
                    step,
                    learning_rate: recipe.learning_rate,
                });
            }
            let mut gradients = pass.gradients;
            if let Some(dynamics) = &mut run.dynamics {
                gradients.whole = dynamics.after_backward(&run.model, gradients.whole);
            }
            if let Some(limit) = recipe.clip_norm {
                gradients.whole = clipped(&run.model, gradients.whole, limit);
            }
            run.model = run
                .optimizer
                .step(run.model, gradients, |id| run.groups.rates(id, rate));
            if let Some(dynamics) = &mut run.dynamics {
                let moved;
                (run.model, moved) = dynamics.after_step(step, run.model);
                run.optimizer.forget(&moved);
            }
            if let Some(ema) = &mut run.ema {
                ema.update(&run.model);
            }
            sums.add(pass.loss, pass.right, pass.images);
            let seconds = step_start.elapsed().as_secs_f64();
            run.progress.step_seconds.push(seconds);
            step_start = Instant::now();
            let seen = Step {
                step,
                steps,
                epoch,
                loss: pass.loss,
                accuracy: ratio(pass.right, pass.images),
                learning_rate: rate,
                images: pass.images,
                seconds,
            };
            if observer.on_step(&seen).is_break() {
                stopped = step < steps;
                break;
            }
        }
        run.model = thaw.after(epoch, run.model);
        let training = epoch_start.elapsed().as_secs_f64();
        let valid = match data.valid {
            Some(images) if !stopped => {
                let loader = in_order(images, data.normalization, recipe.batch_size, device);
                let device = device.clone().inner();
                let features = frozen.as_ref().and_then(Frozen::valid);
                let batches = Input::all(features, loader, recipe.batch_size, &device);
                Some(predict(&run.shown().valid(), batches, &images.labels)?)
            }
            _ => None,
        };
        let record = Epoch {
            epoch,
            train_loss: sums.loss(),
            train_accuracy: sums.accuracy(),
            valid_loss: valid.as_ref().map(|valid| valid.loss),
            valid_accuracy: valid.as_ref().map(Predictions::accuracy),
            learning_rate: rate,
            seconds: epoch_start.elapsed().as_secs_f64(),
            images_per_second: sums.count_per(training),
            memory_bytes: observer.memory_bytes(),
        };
        observer.on_epoch(&record);
        run.record(record, recipe);
        if stopped {
            break;
        }
        if epoch < recipe.epochs && observer.keeps_checkpoints() {
            run.progress.seconds = before + start.elapsed().as_secs_f64();
            let checkpoint = Checkpoint::of(&run);
            // Weights that broke in the epoch's last step must not replace sound ones.
            if checkpoint.is_finite() {
                observer
                    .on_checkpoint(&checkpoint)
                    .map_err(TrainingError::Keep)?;
            }
        }
    }
    run.progress.seconds = before + start.elapsed().as_secs_f64();
    run.finish(recipe, stopped, frozen.map(Frozen::summary))
}

impl<'a> TrainingData<'a> {
    fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        if self.train.is_empty() {
            return Err(TrainingError::NoImages);
        }
        if recipe.needs_validation() && self.valid.is_none_or(Images::is_empty) {
            return Err(TrainingError::NoValidation);
        }
        Ok(())
    }

    pub(crate) fn criterion(&self, recipe: &Recipe, device: &Device) -> CrossEntropy {
        let weights = match recipe.class_weights {
            ClassWeights::None => None,
            ClassWeights::Balanced => Some(balanced(&self.train.labels, self.train.classes.len())),
        };
        CrossEntropy::new(recipe.label_smoothing, weights, device)
    }

    /// The training images of an epoch.
    fn batches(&self, recipe: &Recipe, epoch: usize, device: &Device) -> Loader<'a> {
        let order = Order::Shuffled {
            seed: recipe.seed,
            epoch,
        };
        let loader = Loader::new(self.train, recipe.batch_size, order)
            .normalization(self.normalization)
            .augment(recipe.augment.clone())
            .device(device);
        match recipe.view(epoch) {
            Some(view) => loader.view(recipe.seed, view),
            None => loader,
        }
    }
}
