//! The confusion matrix, and the metrics that follow from it.

use crate::error::EvaluationError;

/// A confusion matrix: counts of images by actual class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// A matrix of zeros, for `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            counts: vec![vec![0; classes]; classes],
        }
    }

    /// Counts predictions: image `i` has class `truth[i]` and was taken for `predicted[i]`.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Lengths`] if the slices differ in length, [`EvaluationError::Class`] if an
    /// index is not below `classes`.
    pub fn from_predictions(
        classes: usize,
        truth: &[usize],
        predicted: &[usize],
    ) -> Result<Self, EvaluationError> {
        if truth.len() != predicted.len() {
            let (truth, predicted) = (truth.len(), predicted.len());
            return Err(EvaluationError::Lengths { truth, predicted });
        }
        let mut confusion = Self::new(classes);
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            let class = truth.max(predicted);
            if class >= classes {
                return Err(EvaluationError::Class { class, classes });
            }
            confusion.counts[truth][predicted] += 1;
        }
        Ok(confusion)
    }

    /// The counts: one row per actual class, one column per predicted class.
    #[must_use]
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// The number of images.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The share of the images that are classified correctly; 0 without images.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let correct: u64 = (0..self.counts.len())
            .map(|class| self.counts[class][class])
            .sum();
        ratio(correct, self.total())
    }

    /// For each class, the share of its images that are classified correctly (recall); 0 for a class
    /// without images.
    #[must_use]
    pub fn per_class_accuracy(&self) -> Vec<f64> {
        self.counts
            .iter()
            .enumerate()
            .map(|(class, row)| ratio(row[class], row.iter().sum()))
            .collect()
    }

    /// The mean over the classes of `F1 = 2 · correct / (images + predictions)`; 0 for a class that
    /// has neither images nor predictions. As scikit-learn's
    /// `f1_score(average="macro", zero_division=0)`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn macro_f1(&self) -> f64 {
        let classes = self.counts.len();
        let f1 = (0..classes).map(|class| {
            let images: u64 = self.counts[class].iter().sum();
            let predictions: u64 = self.counts.iter().map(|row| row[class]).sum();
            ratio(2 * self.counts[class][class], images + predictions)
        });
        f1.sum::<f64>() / classes.max(1) as f64
    }
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_never_predicted_counts_as_zero() {
        // 3 of 4, 2 of 3 and 0 of 1 images are correct; class 2 is never predicted.
        let truth = [0, 0, 0, 0, 1, 1, 1, 2];
        let predicted = [0, 0, 0, 1, 1, 1, 0, 0];
        let confusion = Confusion::from_predictions(3, &truth, &predicted).unwrap();
        assert_eq!(confusion.rows(), [[3, 1, 0], [1, 2, 0], [1, 0, 0]]);
        assert!((confusion.accuracy() - 5.0 / 8.0).abs() < 1e-12);
        // F1: 6/(4 + 5), 4/(3 + 3), 0/(1 + 0).
        assert!((confusion.macro_f1() - (6.0 / 9.0 + 4.0 / 6.0) / 3.0).abs() < 1e-12);
        assert_eq!(confusion.per_class_accuracy(), [0.75, 2.0 / 3.0, 0.0]);
    }

    #[test]
    fn indices_out_of_range_and_unequal_lengths_are_errors() {
        assert!(Confusion::from_predictions(2, &[0, 2], &[0, 1]).is_err());
        assert!(Confusion::from_predictions(2, &[0], &[0, 1]).is_err());
        let none = Confusion::from_predictions(2, &[], &[]).unwrap();
        assert_eq!(none, Confusion::new(2));
        assert_eq!((none.accuracy(), none.macro_f1()), (0.0, 0.0));
    }
}
