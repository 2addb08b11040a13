//! The predictions of a model for a set of images.

use burn::tensor::Device;
use finetune_data::{DataError, Images, Normalization};

use super::sums::{Sums, ratio};
use crate::classifier::Classifier;
use crate::data::in_order;
use crate::error::TrainingError;
use crate::features::{Input, image_batches};
use crate::step::{CrossEntropy, Target, classes, probabilities, scalar};

/// The predictions of a model for a sequence of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The true class of each image.
    pub truth: Vec<usize>,
    /// The predicted class of each image: the one with the largest logit, the first among equals.
    pub predicted: Vec<usize>,
    /// What the probabilities of the classes say of each image.
    pub answers: Vec<Answer>,
    /// Mean cross-entropy.
    pub loss: f64,
}

/// What the probabilities of the classes say of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The highest probability: that of the predicted class.
    pub confidence: f32,
    /// The probability of the true class.
    pub of_truth: f32,
    /// The number of classes that are more probable than the true one, or as probable and before it.
    pub rank: usize,
}

impl Answer {
    fn of(row: &[f32], truth: usize) -> Self {
        let own = row.get(truth).copied().unwrap_or(0.0);
        let before = row.iter().enumerate();
        let before =
            before.filter(|(class, value)| **value > own || (**value >= own && *class < truth));
        Self {
            confidence: row.iter().copied().fold(0.0, f32::max),
            of_truth: own,
            rank: before.count(),
        }
    }
}

impl Predictions {
    /// Share of the images that are classified correctly, 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let correct = self
            .truth
            .iter()
            .zip(&self.predicted)
            .filter(|(a, b)| a == b)
            .count();
        ratio(correct, self.truth.len())
    }
}

/// Runs a model over images in their order.
///
/// `model` must be a validation snapshot ([`Module::valid`](burn::module::Module::valid)); `device`
/// may have autodiff.
///
/// # Errors
///
/// [`TrainingError::Data`] if an image cannot be read.
pub fn evaluate<M: Classifier>(
    model: &M,
    images: &Images,
    normalization: Normalization,
    batch_size: usize,
    device: &Device,
) -> Result<Predictions, TrainingError> {
    let loader = in_order(images, normalization, batch_size, device);
    predict(model, image_batches(loader), &images.labels)
}

/// Runs a model over batches of images whose true classes are `truth`.
///
/// # Errors
///
/// [`TrainingError::Data`] if an image cannot be read.
pub(super) fn predict<M: Classifier>(
    model: &M,
    batches: impl Iterator<Item = Result<Input, DataError>>,
    truth: &[usize],
) -> Result<Predictions, TrainingError> {
    let criterion = CrossEntropy::plain();
    let mut sums = Sums::default();
    let mut predicted = Vec::with_capacity(truth.len());
    let mut answers = Vec::with_capacity(truth.len());
    for batch in batches {
        let Input { start, labels, .. } = batch?;
        let logits = start.logits(model);
        let classes = classes(&logits);
        let truths = truth.iter().skip(answers.len());
        let rows = probabilities(&logits).zip(truths);
        answers.extend(rows.map(|(row, truth)| Answer::of(&row, *truth)));
        let loss = criterion.mean(logits, &Target::Labels(labels));
        sums.add(scalar(&loss), 0, classes.len());
        predicted.extend(classes);
    }
    Ok(Predictions {
        truth: truth.to_vec(),
        predicted,
        answers,
        loss: sums.loss(),
    })
}

#[cfg(test)]
mod tests {
    use super::Predictions;

    #[test]
    fn accuracy_is_the_share_of_equal_classes() {
        let of = |truth: &[usize], predicted: &[usize]| {
            let (truth, predicted) = (truth.to_vec(), predicted.to_vec());
            let predictions = Predictions {
                truth,
                predicted,
                answers: Vec::new(),
                loss: 0.0,
            };
            predictions.accuracy()
        };
        assert!((of(&[0, 1, 2, 2], &[0, 2, 2, 2]) - 0.75).abs() < 1e-12);
        assert!(of(&[0, 1], &[1, 0]).abs() < 1e-12);
    }
}
