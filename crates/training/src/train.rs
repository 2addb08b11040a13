//! The training loop. It is read once, from top to bottom; there is no other one.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::Tensor;
use burn::module::{Module, ModuleDisplay};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int};
use finetune_data::{DataError, Images, Loader, Normalization, Order};
use finetune_methods::{Attached, Faster, Importance, freeze_statistics};
use finetune_model::{Network, Staged};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, Progress};
use crate::error::TrainingError;
use crate::features::{Frozen, Input, KeptFeatures};
use crate::optimizer::{ModelOptimizer, Rates};
use crate::recipe::Recipe;

/// A module that tells classes of images apart.
pub trait Classifier: Module {
    /// Logits `[batch, classes]` of normalised images `[batch, 3, height, width]`.
    fn logits(&self, images: Tensor<4>) -> Tensor<2>;

    /// The same as a sequence of stages, so that what frozen ones make of the images need be
    /// computed only once; `None` where it is none.
    fn staged(&self) -> Option<&dyn Staged> {
        None
    }
}

impl Classifier for Network {
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward(images)
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(self)
    }
}

/// The images of a run.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    /// To learn from.
    pub train: &'a Images,
    /// To watch the run with, if any; never the test set.
    pub valid: Option<&'a Images>,
    /// How values are normalised.
    pub normalization: Normalization,
}

/// One finished epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean cross-entropy over the epoch's images, as they were learnt from.
    pub train_loss: f64,
    /// Share of them that were right at that moment.
    pub train_accuracy: f64,
    /// Mean cross-entropy of the validation images after the epoch.
    pub valid_loss: Option<f64>,
    /// Share of them that were right.
    pub valid_accuracy: Option<f64>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Duration, validation included.
    pub seconds: f64,
}

/// One finished step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Step of the run, from 1.
    pub step: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Epoch, from 1.
    pub epoch: usize,
    /// Cross-entropy of the step's batch.
    pub loss: f64,
    /// Share of the batch that was right.
    pub accuracy: f64,
    /// Its learning rate.
    pub learning_rate: f64,
}

/// Watches a run, and may stop it.
pub trait Observer {
    /// Called while the features that frozen layers make of the images are computed, before the
    /// first step: how many images are `done` of `images`. `Break` gives them up.
    fn on_features(&mut self, _done: usize, _images: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called when all is ready for the first step.
    fn on_start(&mut self) {}

    /// Called after each step; `Break` ends the run after it.
    fn on_step(&mut self, _step: &Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called after each epoch, the broken-off one included.
    fn on_epoch(&mut self, _epoch: &Epoch) {}

    /// Whether [`on_checkpoint`](Self::on_checkpoint) is to be called after each whole epoch.
    fn keeps_checkpoints(&self) -> bool {
        false
    }

    /// Keeps a checkpoint in the place of the one before.
    ///
    /// # Errors
    ///
    /// A reason, which ends the run.
    fn on_checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<(), String> {
        Ok(())
    }
}

impl Observer for () {}

/// A trained model and how it came about.
#[derive(Debug)]
pub struct Trained<M> {
    /// The model, still with its adapters and ready to go on training.
    pub model: M,
    /// Its epochs.
    pub epochs: Vec<Epoch>,
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
    attached: Attached<M>,
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
    attached: Attached<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
    from: Option<&Checkpoint>,
) -> Result<Trained<M>, TrainingError> {
    recipe.check()?;
    if data.train.is_empty() {
        return Err(TrainingError::NoImages);
    }
    let Attached {
        mut model,
        mut dynamics,
        faster,
    } = attached;
    let mut optimizer = ModelOptimizer::new(recipe.optimizer);
    let criterion = cross_entropy(recipe.label_smoothing, device);
    let steps = recipe.epochs * data.train.len().div_ceil(recipe.batch_size);
    if let Some(dynamics) = &mut dynamics {
        dynamics.start(steps);
    }

    let Progress {
        mut epochs,
        mut step_seconds,
        seconds: before,
        ..
    } = from.map_or_else(Progress::default, |from| from.progress.clone());
    if let Some(from) = from {
        model = from.restore(model, &mut optimizer, dynamics.as_mut())?;
    }

    let rates = |learning_rate| Rates {
        learning_rate,
        weight_decay: recipe.weight_decay,
    };

    let run_start = Instant::now();
    let frozen = Frozen::compute(&model, data, recipe, device, observer)?;
    let (train_features, valid_features) = frozen.as_ref().map_or((None, None), Frozen::parts);
    observer.on_start();
    let mut stopped = false;
    for epoch in epochs.len() + 1..=recipe.epochs {
        // Dropout of an epoch depends on nothing that came before it.
        device.clone().inner().seed(
            recipe
                .seed
                .wrapping_mul(1_000_003)
                .wrapping_add(epoch as u64),
        );
        let epoch_start = Instant::now();
        let mut sums = Sums::default();
        let mut rate = recipe.learning_rate;
        let order = Order::Shuffled {
            seed: recipe.seed,
            epoch,
        };
        let loader = Loader::new(data.train, recipe.batch_size, order)
            .normalization(data.normalization)
            .augment(recipe.augment.clone())
            .device(device);
        let mut step_start = Instant::now();
        for batch in Input::all(train_features, loader, recipe.batch_size, device) {
            let batch = batch?;
            let step = step_seconds.len();
            rate = recipe.learning_rate * recipe.schedule.factor(step, steps);
            let logits = batch.given.logits(&model);
            let loss = criterion.forward(logits.clone(), batch.labels.clone());
            let (value, right) = (scalar(&loss), count_right(&logits, &batch.labels));
            if !value.is_finite() {
                let learning_rate = recipe.learning_rate;
                let step = step + 1;
                return Err(TrainingError::NonFiniteLoss {
                    loss: value,
                    epoch,
                    step,
                    learning_rate,
                });
            }
            let penalty = dynamics
                .as_ref()
                .and_then(|dynamics| dynamics.penalty(&model));
            let loss = match penalty {
                Some(penalty) => loss + penalty,
                None => loss,
            };
            let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
            if let Some(dynamics) = &mut dynamics {
                gradients = dynamics.after_backward(&model, gradients);
            }
            if let Some(faster) = &faster {
                let apart = split(&mut gradients, faster);
                model = optimizer.step(model, apart, |_| rates(rate * faster.ratio));
            }
            model = optimizer.step(model, gradients, |_| rates(rate));
            if let Some(dynamics) = &mut dynamics {
                let moved;
                (model, moved) = dynamics.after_step(step + 1, model);
                optimizer.forget(&moved);
            }
            let size = batch.labels.dims()[0];
            sums.add(value, right, size);
            step_seconds.push(step_start.elapsed().as_secs_f64());
            step_start = Instant::now();
            let accuracy = ratio(right, size);
            let seen = Step {
                step: step + 1,
                steps,
                epoch,
                loss: value,
                accuracy,
                learning_rate: rate,
            };
            if observer.on_step(&seen).is_break() {
                stopped = step + 1 < steps;
                break;
            }
        }
        let valid = match data.valid {
            Some(images) if !stopped => {
                let loader = in_order(images, data.normalization, recipe.batch_size, device);
                let device = device.clone().inner();
                let batches = Input::all(valid_features, loader, recipe.batch_size, &device);
                Some(predict(&model.valid(), batches, &images.labels, &device)?)
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
        };
        observer.on_epoch(&record);
        epochs.push(record);
        if stopped {
            break;
        }
        if epoch < recipe.epochs && observer.keeps_checkpoints() {
            let progress = Progress {
                epochs: epochs.clone(),
                step_seconds: step_seconds.clone(),
                seconds: before + run_start.elapsed().as_secs_f64(),
                ..Progress::default()
            };
            let checkpoint = Checkpoint::of(&model, &optimizer, dynamics.as_ref(), progress)?;
            observer
                .on_checkpoint(&checkpoint)
                .map_err(TrainingError::Keep)?;
        }
    }
    let seconds = before + run_start.elapsed().as_secs_f64();
    Ok(Trained {
        model,
        epochs,
        step_seconds,
        seconds,
        stopped,
        features: frozen.map(Frozen::summary),
    })
}

/// The gradients of a model whose weights all train, summed over the first batches of an epoch:
/// what some methods choose by before they freeze it.
///
/// # Errors
///
/// A recipe out of range, or an image that cannot be read.
pub fn importance<M: Classifier + ModuleDisplay>(
    model: &M,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
) -> Result<Importance, TrainingError> {
    const BATCHES: usize = 16;
    recipe.check()?;
    let criterion = cross_entropy(recipe.label_smoothing, device);
    let order = Order::Shuffled {
        seed: recipe.seed,
        epoch: 0,
    };
    let loader = Loader::new(data.train, recipe.batch_size, order)
        .normalization(data.normalization)
        .device(device);
    let mut importance = Importance::default();
    let model = freeze_statistics(model.clone());
    for batch in loader.take(BATCHES) {
        let batch = batch?;
        let loss = criterion.forward(model.logits(batch.images), batch.labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        importance.add(&model, &gradients);
    }
    Ok(importance)
}

/// Takes out the gradients of the parameters with a learning rate of their own: all matrices.
fn split(gradients: &mut GradientsParams, faster: &Faster) -> GradientsParams {
    let mut apart = GradientsParams::new();
    for id in &faster.parameters {
        if let Some(gradient) = gradients.remove::<2>(*id) {
            apart.register(*id, gradient);
        }
    }
    apart
}

/// What a model says of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The right class of each image.
    pub truth: Vec<usize>,
    /// The class with the largest logit; the first of equals.
    pub predicted: Vec<usize>,
    /// Mean cross-entropy.
    pub loss: f64,
}

impl Predictions {
    /// Share of the images that are right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right = self
            .truth
            .iter()
            .zip(&self.predicted)
            .filter(|(a, b)| a == b)
            .count();
        ratio(right, self.truth.len())
    }
}

/// Runs a model over images in order, without training it.
///
/// `model` is a validation snapshot ([`Module::valid`]).
///
/// # Errors
///
/// An image that cannot be read.
pub fn evaluate<M: Classifier>(
    model: &M,
    images: &Images,
    normalization: Normalization,
    batch_size: usize,
    device: &Device,
) -> Result<Predictions, TrainingError> {
    let loader = in_order(images, normalization, batch_size, device);
    let device = device.clone().inner();
    let batches = Input::all(None, loader, batch_size, &device);
    predict(model, batches, &images.labels, &device)
}

/// Images in their order, on the device without autodiff.
pub(crate) fn in_order<'a>(
    images: &'a Images,
    normalization: Normalization,
    batch_size: usize,
    device: &Device,
) -> Loader<'a> {
    Loader::new(images, batch_size, Order::Sequential)
        .normalization(normalization)
        .device(&device.clone().inner())
}

fn predict<M: Classifier>(
    model: &M,
    batches: impl Iterator<Item = Result<Input, DataError>>,
    truth: &[usize],
    device: &Device,
) -> Result<Predictions, TrainingError> {
    let criterion = cross_entropy(0.0, device);
    let mut sums = Sums::default();
    let mut predicted = Vec::with_capacity(truth.len());
    for batch in batches {
        let Input { given, labels } = batch?;
        let logits = given.logits(model);
        let classes = classes(&logits);
        let loss = criterion.forward(logits, labels);
        sums.add(scalar(&loss), 0, classes.len());
        predicted.extend(classes);
    }
    Ok(Predictions {
        truth: truth.to_vec(),
        predicted,
        loss: sums.loss(),
    })
}

fn cross_entropy(smoothing: f64, device: &Device) -> CrossEntropyLoss {
    #[allow(clippy::cast_possible_truncation)]
    let smoothing = (smoothing > 0.0).then_some(smoothing as f32);
    CrossEntropyLossConfig::new()
        .with_smoothing(smoothing)
        .init(device)
}

fn scalar(tensor: &Tensor<1>) -> f64 {
    tensor
        .clone()
        .into_data()
        .iter::<f64>()
        .next()
        .unwrap_or(f64::NAN)
}

/// The class with the largest logit of each row of `[batch, classes]`.
fn classes(logits: &Tensor<2>) -> Vec<usize> {
    let [_, classes] = logits.dims();
    let values: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
    values
        .chunks(classes.max(1))
        .map(|row| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }))
        .collect()
}

fn count_right(logits: &Tensor<2>, labels: &Tensor<1, Int>) -> usize {
    let labels = labels.clone().into_data();
    classes(logits)
        .into_iter()
        .zip(labels.iter::<i64>())
        .filter(|(said, right)| usize::try_from(*right).is_ok_and(|right| right == *said))
        .count()
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Sums over an epoch's batches.
#[derive(Default)]
struct Sums {
    loss: f64,
    right: usize,
    count: usize,
}

impl Sums {
    #[allow(clippy::cast_precision_loss)]
    fn add(&mut self, mean_loss: f64, right: usize, count: usize) {
        self.loss += mean_loss * count as f64;
        self.right += right;
        self.count += count;
    }

    #[allow(clippy::cast_precision_loss)]
    fn loss(&self) -> f64 {
        self.loss / self.count.max(1) as f64
    }

    fn accuracy(&self) -> f64 {
        ratio(self.right, self.count)
    }
}
