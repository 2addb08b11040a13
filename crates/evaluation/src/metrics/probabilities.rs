//! Metrics that follow from the probabilities of the classes.

use crate::error::EvaluationError;

/// The probabilities that a classifier gave to the classes of some images, with the images' actual
/// classes.
///
/// ```
/// use finetune_evaluation::Probabilities;
///
/// let rows = [vec![0.7, 0.2, 0.1], vec![0.3, 0.2, 0.5]];
/// let probabilities = Probabilities::new(&[0, 0], &rows)?;
/// assert_eq!(probabilities.top_k_accuracy(1), Some(0.5));
/// assert_eq!(probabilities.top_k_accuracy(2), Some(1.0));
/// # Ok::<(), finetune_evaluation::EvaluationError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probabilities {
    answers: Vec<Answer>,
}

/// What metrics need of the probabilities of the classes of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The highest probability: that of the predicted class.
    pub confidence: f32,
    /// The probability of the actual class.
    pub of_truth: f32,
    /// The number of classes that come before the actual one, by descending probability. Of equal
    /// probabilities, that of the lower class comes first, as with a prediction by the first maximum.
    pub rank: usize,
}

impl Answer {
    /// The answer in the probabilities of the classes of an image of class `truth`.
    ///
    /// # Panics
    ///
    /// If there is no such class.
    #[must_use]
    pub fn of(row: &[f32], truth: usize) -> Self {
        let own = row[truth];
        let before = row.iter().enumerate().filter(|(other, value)| {
            **value > own || (*other < truth && value.total_cmp(&own).is_eq())
        });
        Self {
            confidence: row.iter().copied().fold(0.0, f32::max),
            of_truth: own,
            rank: before.count(),
        }
    }
}

impl From<Vec<Answer>> for Probabilities {
    fn from(answers: Vec<Answer>) -> Self {
        Self { answers }
    }
}

impl Probabilities {
    /// Number of bins of [`calibration_error`](Self::calibration_error), as in Guo et al.
    pub const BINS: usize = 15;

    /// By how much the sum of an image's probabilities may differ from 1: enough for a softmax over
    /// thousands of classes in half precision.
    const SUM_TOLERANCE: f64 = 0.01;

    /// Image `i` has class `truth[i]`, and class `c` has the probability `rows[i][c]`.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Lengths`] if the slices differ in length, [`EvaluationError::Class`] if an
    /// image's class has no probability, [`EvaluationError::Probabilities`] if the probabilities of an
    /// image are not between 0 and 1 (NaN, for one), do not add up to 1 or are more or fewer than
    /// those of the first image.
    pub fn new(truth: &[usize], rows: &[Vec<f32>]) -> Result<Self, EvaluationError> {
        if truth.len() != rows.len() {
            let (truth, predicted) = (truth.len(), rows.len());
            return Err(EvaluationError::Lengths { truth, predicted });
        }
        let classes = rows.first().map_or(0, Vec::len);
        for (image, (&class, row)) in truth.iter().zip(rows).enumerate() {
            let sum: f64 = row.iter().map(|value| f64::from(*value)).sum();
            let reason = if row.len() != classes {
                "their number differs from that of the first image"
            } else if !row.iter().all(|value| (0.0..=1.0).contains(value)) {
                "one is not between 0 and 1"
            } else if (sum - 1.0).abs() > Self::SUM_TOLERANCE {
                "they do not add up to 1"
            } else if class >= classes {
                return Err(EvaluationError::Class { class, classes });
            } else {
                continue;
            };
            return Err(EvaluationError::Probabilities { image, reason });
        }
        let answers = truth.iter().zip(rows);
        let answers = answers.map(|(class, row)| Answer::of(row, *class));
        Ok(Self {
            answers: answers.collect(),
        })
    }

    /// The share of the images whose actual class is among the `k` classes with the highest
    /// probability; `None` without images.
    ///
    /// `k = 1` gives the accuracy. Among equal probabilities, scikit-learn's `top_k_accuracy_score` puts
    /// the higher class first; without ties the values are the same.
    #[must_use]
    pub fn top_k_accuracy(&self, k: usize) -> Option<f64> {
        self.mean(|answer| f64::from(u8::from(answer.rank < k)))
    }

    /// The log-loss (cross-entropy): the mean over the images of `−ln p`, where `p` is the probability
    /// of the image's actual class; `None` without images.
    ///
    /// As scikit-learn's `log_loss`, `p` is limited to `[ε, 1 − ε]` with the `ε` of `f32`, so that an
    /// image whose class has probability 0 adds 15.9 instead of infinity.
    #[must_use]
    pub fn log_loss(&self) -> Option<f64> {
        self.mean(|answer| {
            let limited = answer.of_truth.clamp(f32::EPSILON, 1.0 - f32::EPSILON);
            -f64::from(limited).ln()
        })
    }

    /// The expected calibration error: how far, on average, the share of correct predictions lies from
    /// the probability that the classifier gave to its predictions; `None` without images.
    ///
    /// `Σ |B| / n · |accuracy(B) − confidence(B)|` over 15 bins `B` of equal width, where an image's
    /// confidence is the highest probability and bin `m` holds the confidences in
    /// `((m − 1) / 15, m / 15]`: equation 3 of Guo, Pleiss, Sun and Weinberger, *On calibration of
    /// modern neural networks*, ICML 2017. An empty bin adds nothing. With few images it is biased
    /// upwards, because each bin's accuracy is then far from its expectation by chance.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn calibration_error(&self) -> Option<f64> {
        // Correct predictions minus confidence, summed per bin: |B| · (accuracy − confidence).
        let mut gaps = [0.0; Self::BINS];
        for answer in &self.answers {
            let confidence = answer.confidence;
            let bin = (f64::from(confidence) * Self::BINS as f64).ceil() as usize;
            let correct = f64::from(u8::from(answer.rank == 0));
            gaps[bin.clamp(1, Self::BINS) - 1] += correct - f64::from(confidence);
        }
        let images = self.answers.len() as f64;
        (!self.answers.is_empty()).then(|| gaps.iter().map(|gap| gap.abs()).sum::<f64>() / images)
    }

    /// The mean over the images of a value that follows from their answers.
    #[allow(clippy::cast_precision_loss)]
    fn mean(&self, of: impl Fn(&Answer) -> f64) -> Option<f64> {
        let sum: f64 = self.answers.iter().map(of).sum();
        (!self.answers.is_empty()).then(|| sum / self.answers.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_agree_with_calculations_by_hand() {
        let rows = [vec![0.75, 0.25], vec![0.75, 0.25], vec![0.5, 0.5]];
        let probabilities = Probabilities::new(&[0, 1, 1], &rows).unwrap();
        // The third image is a tie, which goes to class 0.
        assert!((probabilities.top_k_accuracy(1).unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(probabilities.top_k_accuracy(2), Some(1.0));
        let loss = -(0.75_f64.ln() + 0.25_f64.ln() + 0.5_f64.ln()) / 3.0;
        assert!((probabilities.log_loss().unwrap() - loss).abs() < 1e-7);
        // Bin of 0.75: 1 of 2 correct; bin of 0.5: none of 1.
        let error = 2.0 / 3.0 * 0.25 + 1.0 / 3.0 * 0.5;
        assert!((probabilities.calibration_error().unwrap() - error).abs() < 1e-12);
    }

    #[test]
    fn certain_predictions_have_finite_losses() {
        let rows = [vec![1.0, 0.0]];
        let right = Probabilities::new(&[0], &rows).unwrap();
        assert!(right.log_loss().unwrap() < 1e-6);
        assert_eq!(right.calibration_error(), Some(0.0));
        let wrong = Probabilities::new(&[1], &rows).unwrap();
        assert!((wrong.log_loss().unwrap() - 15.942_385).abs() < 1e-6);
        assert_eq!(wrong.calibration_error(), Some(1.0));
    }

    #[test]
    fn nothing_is_measured_without_images() {
        let none = Probabilities::new(&[], &[]).unwrap();
        assert_eq!(none.top_k_accuracy(1), None);
        assert_eq!(none.log_loss(), None);
        assert_eq!(none.calibration_error(), None);
    }

    #[test]
    fn values_that_are_no_probabilities_are_errors() {
        let good = vec![0.5, 0.5];
        for row in [
            vec![0.5, f32::NAN],
            vec![1.5, -0.5],
            vec![0.5, 0.4],
            vec![1.0],
        ] {
            let rows = [good.clone(), row];
            let error = Probabilities::new(&[0, 0], &rows).unwrap_err();
            assert!(matches!(
                error,
                EvaluationError::Probabilities { image: 1, .. }
            ));
        }
        assert!(Probabilities::new(&[2], std::slice::from_ref(&good)).is_err());
        assert!(Probabilities::new(&[0, 1], &[good]).is_err());
    }
}
