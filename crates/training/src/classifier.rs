//! Models that tell classes of images apart, and what they say of images.

use burn::Tensor;
use burn::module::Module;
use burn::tensor::{Device, Int};
use finetune_data::{DataError, Images, Loader, Normalization, Order};
use finetune_model::{Network, Staged};

use crate::error::TrainingError;
use crate::features::frozen::Input;
use crate::run::sums::{Sums, ratio};
use crate::step::loss::{CrossEntropy, Target};
use crate::step::pass::scalar;

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
    predict(model, batches, &images.labels)
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

/// What a model says of batches, whose right classes are `truth`.
pub(crate) fn predict<M: Classifier>(
    model: &M,
    batches: impl Iterator<Item = Result<Input, DataError>>,
    truth: &[usize],
) -> Result<Predictions, TrainingError> {
    let criterion = CrossEntropy::plain();
    let mut sums = Sums::default();
    let mut predicted = Vec::with_capacity(truth.len());
    for batch in batches {
        let Input { given, labels, .. } = batch?;
        let logits = given.logits(model);
        let classes = classes(&logits);
        let loss = criterion.mean(logits, &Target::Labels(labels));
        sums.add(scalar(&loss), 0, classes.len());
        predicted.extend(classes);
    }
    Ok(Predictions {
        truth: truth.to_vec(),
        predicted,
        loss: sums.loss(),
    })
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

pub(crate) fn count_right(logits: &Tensor<2>, labels: &Tensor<1, Int>) -> usize {
    let labels = labels.clone().into_data();
    classes(logits)
        .into_iter()
        .zip(labels.iter::<i64>())
        .filter(|(said, right)| usize::try_from(*right).is_ok_and(|right| right == *said))
        .count()
}
