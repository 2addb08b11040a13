//! Methods that are not trained in steps: one pass over the training images computes their features before
//! the head, and the method computes what it learns from all of them at once.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use finetune_methods::attach::Parts;
use finetune_methods::fit::{Examples, Fit, FitTask};
use finetune_methods::{Adapted, MethodError, load};
use finetune_model::{Features, Staged};

use super::observer::Observer;
use super::trained::Trained;
use crate::classifier::Classifier;
use crate::data::{TrainingData, in_order};
use crate::error::TrainingError;
use crate::recipe::Recipe;
use crate::step::class_weights;

/// Computes a method that learns from all features at once. Of the recipe, only the batch size and the
/// class weights count; images are not changed at random.
///
/// # Errors
///
/// As [`fit_features`], and [`TrainingError::Fit`] from the method.
pub(super) fn fit<M: Classifier>(
    attached: Adapted<M>,
    fit: &Arc<dyn Fit>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
) -> Result<Trained<M>, TrainingError> {
    let start = Instant::now();
    data.check(recipe)?;
    fit.check(data.train.len()).map_err(TrainingError::Fit)?;
    let Parts { model, head, .. } = attached.into_parts();
    let images = ShownOnce {
        head: &head,
        data,
        recipe,
        device,
    };
    let (examples, _) = images.features(&model, observer, usize::MAX)?;
    observer.on_fit(&fit.plan());
    let weights = class_weights(recipe, data).unwrap_or_default();
    let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
    let task = FitTask {
        head: &head,
        class_weights: &weights,
        stop: &|| observer.wants_stop(),
    };
    let fitted = fit.fit(&examples, &task).map_err(|error| match error {
        MethodError::Stopped => TrainingError::Stopped,
        other => TrainingError::Fit(other),
    })?;
    let model = load(model, fitted.tensors).map_err(TrainingError::Fit)?;
    Ok(Trained {
        seconds: start.elapsed().as_secs_f64(),
        found: fitted.found,
        ..Trained::without_steps(model)
    })
}

/// Computes the features of the first `batches` batches for such a method and nothing else, to tell how long
/// it takes: each of them counts as a step of the result.
///
/// # Errors
///
/// [`TrainingError::Setting`] and [`NoImages`](TrainingError::NoImages) before anything is computed,
/// [`NoFeatures`](TrainingError::NoFeatures) if the model's features before its head are not a vector per
/// image, [`Data`](TrainingError::Data) if an image cannot be read,
/// [`NotFinite`](TrainingError::NotFinite), and [`Stopped`](TrainingError::Stopped).
pub fn fit_features<M: Classifier>(
    attached: Adapted<M>,
    data: &TrainingData<'_>,
    recipe: &Recipe,
    device: &Device,
    observer: &mut impl Observer,
    batches: usize,
) -> Result<Trained<M>, TrainingError> {
    let Parts { model, head, .. } = attached.into_parts();
    let images = ShownOnce {
        head: &head,
        data,
        recipe,
        device,
    };
    let (_, step_seconds) = images.features(&model, observer, batches)?;
    Ok(Trained {
        seconds: step_seconds.iter().sum(),
        step_seconds,
        stopped: true,
        ..Trained::without_steps(model)
    })
}

/// Training images that are shown once, as the images that a model is tested with, to compute their features
/// before its head.
struct ShownOnce<'a> {
    head: &'a str,
    data: &'a TrainingData<'a>,
    recipe: &'a Recipe,
    device: &'a Device,
}

impl ShownOnce<'_> {
    /// The features of at most so many batches of images, and how long each batch took, in seconds.
    fn features<M: Classifier>(
        &self,
        model: &M,
        observer: &mut impl Observer,
        batches: usize,
    ) -> Result<(Examples, Vec<f64>), TrainingError> {
        let Self { data, recipe, .. } = *self;
        recipe.check()?;
        data.check(recipe)?;
        observer.on_start();
        let model = model.valid();
        let stages = model.staged().map(Staged::stages).unwrap_or_default();
        let weight = format!("{}.weight", self.head);
        let before = match stages.split_last() {
            Some((last, before)) if last.holds(&weight) => before,
            _ => return Err(self.no_features()),
        };
        let batch_size = recipe.batch_size;
        let images = data.train.len().min(batches.saturating_mul(batch_size));
        let mut examples = Examples {
            classes: data.train.classes.len(),
            ..Examples::default()
        };
        let mut seconds = Vec::new();
        let mut start = Instant::now();
        let loader = in_order(data.train, data.normalization, batch_size, self.device);
        for batch in loader.take(batches) {
            let batch = batch?;
            let input = Features::from(batch.images);
            let output = before.iter().fold(input, |x, stage| stage.forward(x));
            let Features::Vectors(vectors) = output else {
                return Err(self.no_features());
            };
            examples.width = vectors.dims()[1];
            examples.features.extend(vectors.into_data().iter::<f32>());
            let labels = batch.labels.into_data();
            let labels = labels
                .iter::<i64>()
                .filter_map(|label| usize::try_from(label).ok());
            examples.labels.extend(labels);
            seconds.push(start.elapsed().as_secs_f64());
            start = Instant::now();
            if observer.on_features(examples.len(), images).is_break() {
                return Err(TrainingError::Stopped);
            }
        }
        match examples.features.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(TrainingError::NotFinite(*value)),
            None => Ok((examples, seconds)),
        }
    }

    fn no_features(&self) -> TrainingError {
        TrainingError::NoFeatures {
            head: self.head.to_owned(),
        }
    }
}
