//! The training loop: the whole story of a run on one page. There is no other loop.

use std::time::Instant;

use burn::tensor::Device;
use finetune_methods::Adapted;

use super::checkpoint::Checkpoint;
use super::evaluate::{Predictions, predict};
use super::fit::fit;
use super::observer::Observer;
use super::record::{Epoch, Step};
use super::single_value;
use super::state::RunState;
use super::sums::{Sums, ratio};
use super::trained::Trained;
use crate::classifier::Classifier;
use crate::data::{TrainingData, in_order};
use crate::error::TrainingError;
use crate::features::{FrozenFeatures, batches};
use crate::recipe::Recipe;
use crate::step::{CrossEntropy, Draws, Passes, Segments, Thaw, clipped, pass};

/// Trains a model by a recipe.
///
/// The same model, images, recipe, device and number of threads give the same result to the bit.
///
/// # Errors
///
/// [`TrainingError::Setting`], [`NoImages`](TrainingError::NoImages),
/// [`NoValidation`](TrainingError::NoValidation) and [`SingleValue`](TrainingError::SingleValue) before
/// anything is computed;
/// [`Data`](TrainingError::Data), [`NoRoom`](TrainingError::NoRoom) and
/// [`TooLarge`](TrainingError::TooLarge) from reading images and caching features;
/// [`NonFiniteLoss`](TrainingError::NonFiniteLoss) and
/// [`WriteCheckpoint`](TrainingError::WriteCheckpoint) from the loop. For a method that is not trained in
/// steps, those of [`fit_features`](crate::fit_features) and [`Fit`](TrainingError::Fit).
pub fn train<M: Classifier>(
    attached: Adapted<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
) -> Result<Trained<M>, TrainingError> {
    resume(attached, data, recipe, device, observer, None)
}

/// Trains a model by a recipe, going on from a checkpoint of the same run if there is one. A method that is
/// not trained in steps has no checkpoints.
///
/// The result is the same to the bit as that of a run that was never interrupted.
///
/// # Errors
///
/// As [`train`], and [`TrainingError::Checkpoint`] if the checkpoint belongs to another run.
#[allow(clippy::too_many_lines)] // the whole story on one page
pub fn resume<M: Classifier>(
    attached: Adapted<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
    from: Option<&Checkpoint>,
) -> Result<Trained<M>, TrainingError> {
    if let Some(at_once) = attached.fit().cloned() {
        return fit(attached, &at_once, data, recipe, device, observer);
    }
    recipe.check()?;
    data.check(recipe)?;
    let per_epoch = recipe.steps_per_epoch(data.train.len());
    let steps = recipe.epochs.saturating_mul(per_epoch);
    let criterion = CrossEntropy::of(recipe, data, device);
    let mut run = RunState::new(attached, recipe, steps);
    Draws::check(&run.model, recipe)?;
    single_value::check(&run.model, data, recipe, device)?;
    let thaw = Thaw::new(recipe.unfreeze_epochs, &run.model);
    if let Some(from) = from {
        from.check(recipe, per_epoch)?;
        run = from.restore(run)?;
    }

    let (before, start) = (run.progress.seconds, Instant::now());
    let mut stopped = false;
    let frozen = FrozenFeatures::compute(&run.model, data, recipe, device, |done, images| {
        let flow = observer.on_features(done, images);
        stopped |= flow.is_break();
        flow
    })?;
    if stopped {
        return Err(TrainingError::Stopped);
    }
    observer.on_start();
    for epoch in run.progress.epochs.len() + 1..=recipe.epochs {
        if let Some(best) = run.patience_is_over(recipe) {
            observer.on_patience(best);
            break;
        }
        let epoch_start = Instant::now();
        let (mut sums, mut rate, skipped) = match run.progress.partial.take() {
            Some(sums) => {
                let skipped = run.step() - 1 - (epoch - 1) * per_epoch;
                (
                    sums,
                    recipe.rate(run.step().saturating_sub(2), steps),
                    skipped,
                )
            }
            None => (Sums::default(), recipe.learning_rate, 0),
        };
        run.model = thaw.before(epoch, run.model);
        let passes = Passes {
            accumulate: recipe.accumulate,
            criterion: &criterion,
            outer: recipe.clip_norm.is_none() && recipe.accumulate == 1 && run.dynamics.is_none(),
            segments: Segments::for_recipe(recipe, &run.model),
            draws: Draws::new(device, recipe),
        };
        let skipped = skipped.saturating_mul(recipe.accumulate);
        let loader = data.epoch(recipe, epoch, device).skip_batches(skipped);
        let cached = frozen.as_ref().map(|frozen| frozen.train(recipe, epoch));
        let mut inputs = batches(cached, loader, recipe.batch_size, device);
        let mut step_start = Instant::now();
        while let Some(pass) = pass(
            &run.model,
            &mut inputs,
            run.step(),
            &passes,
            run.dynamics.as_ref(),
        )? {
            let step = run.step();
            rate = recipe.rate(step - 1, steps);
            let momentum = recipe.momentum(step - 1, steps);
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
            run.model = run.optimizer.step(run.model, gradients, |id| {
                run.groups.rates(id, rate, momentum)
            });
            if let Some(dynamics) = &mut run.dynamics {
                let moved;
                (run.model, moved) = dynamics.after_step(step, run.model);
                run.optimizer.forget(&moved);
                if let Some(ema) = &mut run.ema {
                    ema.forget(&moved);
                }
            }
            if let Some(ema) = &mut run.ema {
                ema.update(&run.model);
            }
            sums.add(pass.loss, pass.correct, pass.images);
            let seconds = step_start.elapsed().as_secs_f64();
            run.progress.step_seconds.push(seconds);
            step_start = Instant::now();
            let record = Step {
                step,
                steps,
                epoch,
                loss: pass.loss,
                accuracy: ratio(pass.correct, pass.images),
                learning_rate: rate,
                images: pass.images,
                seconds,
            };
            if observer.on_step(&record).is_break() {
                stopped = step < steps;
                break;
            }
        }
        run.model = thaw.after(epoch, run.model);
        if stopped {
            run.progress.seconds = before + start.elapsed().as_secs_f64();
            run.progress.partial = Some(sums.clone());
            save(&run, observer)?;
            run.progress.partial = None;
        }
        let training = epoch_start.elapsed().as_secs_f64();
        let valid = match data.valid {
            Some(images) if !stopped => {
                let loader = in_order(images, data.normalization, recipe.batch_size, device);
                let device = device.clone().inner();
                let cached = frozen.as_ref().and_then(FrozenFeatures::valid);
                let inputs = batches(cached, loader, recipe.batch_size, &device);
                Some(predict(&run.output().valid(), inputs, &images.labels)?)
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
        if epoch < recipe.epochs && observer.wants_checkpoint() {
            run.progress.seconds = before + start.elapsed().as_secs_f64();
            save(&run, observer)?;
        }
    }
    run.progress.seconds = before + start.elapsed().as_secs_f64();
    run.finish(recipe, stopped, frozen.map(FrozenFeatures::summary))
}

/// Gives the state of a run to the observer. If the last step made weights NaN or infinite, the
/// previous checkpoint stays.
fn save<M: Classifier>(
    run: &RunState<M>,
    observer: &mut impl Observer,
) -> Result<(), TrainingError> {
    let checkpoint = Checkpoint::of(run);
    if !checkpoint.is_finite() {
        return Ok(());
    }
    let saved = observer.on_checkpoint(&checkpoint);
    saved.map_err(TrainingError::WriteCheckpoint)
}
