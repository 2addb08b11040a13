//! The confusion matrix, and the metrics that follow from it.

use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;

/// A confusion matrix: counts of images by actual class (row) and predicted class (column).
///
/// It holds the counts that are not zero, of which there are at most as many as images: the whole
/// matrix of 5000 classes would take 200 MB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Confusion {
    /// Number of classes.
    classes: usize,
    /// Actual class, predicted class and number of images, in ascending order.
    counts: Vec<(usize, usize, u64)>,
}

/// A confusion matrix from a file.
#[derive(Deserialize)]
struct Unchecked {
    classes: usize,
    counts: Vec<(usize, usize, u64)>,
}

impl Confusion {
    /// Up to this many classes, files have the matrix with its zeros, as rows.
    pub const MOST_ROWS: usize = 256;

    /// A matrix of zeros, for `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: Vec::new(),
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
        let both = || truth.iter().copied().zip(predicted.iter().copied());
        let classes_seen = both().map(|(truth, predicted)| truth.max(predicted));
        if let Some(class) = classes_seen.max().filter(|class| *class >= classes) {
            return Err(EvaluationError::Class { class, classes });
        }
        let counts = both().map(|(truth, predicted)| (truth, predicted, 1));
        Ok(Self::counted(classes, counts.collect()))
    }

    /// The matrix with these rows, which may be of different lengths.
    #[must_use]
    pub fn from_rows(rows: &[Vec<u64>]) -> Self {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let counts = rows.iter().enumerate().flat_map(|(actual, row)| {
            let row = row.iter().enumerate();
            row.map(move |(predicted, images)| (actual, predicted, *images))
        });
        let counts = counts.filter(|(_, _, images)| *images > 0).collect();
        Self {
            classes: rows.len().max(columns),
            counts,
        }
    }

    /// The sum of several matrices.
    pub(crate) fn sum(matrices: impl IntoIterator<Item = Self>) -> Self {
        let (mut classes, mut counts) = (0, Vec::new());
        for matrix in matrices {
            classes = classes.max(matrix.classes);
            counts.extend(matrix.counts);
        }
        Self::counted(classes, counts)
    }

    fn counted(classes: usize, mut counts: Vec<(usize, usize, u64)>) -> Self {
        counts.sort_unstable();
        counts.dedup_by(|next, count| {
            let same = (next.0, next.1) == (count.0, count.1);
            if same {
                count.2 += next.2;
            }
            same
        });
        Self { classes, counts }
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The counts that are not zero: actual class, predicted class and number of images, ordered by
    /// the classes.
    #[must_use]
    pub fn counts(&self) -> &[(usize, usize, u64)] {
        &self.counts
    }

    /// All counts: one row per actual class, one column per predicted class.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<u64>> {
        let mut rows = vec![vec![0; self.classes]; self.classes];
        for &(actual, predicted, images) in &self.counts {
            rows[actual][predicted] = images;
        }
        rows
    }

    /// The form of files: [all counts](Self::rows), or, for more than
    /// [`MOST_ROWS`](Self::MOST_ROWS) classes, no rows and the matrix itself.
    #[must_use]
    pub fn written(self) -> (Vec<Vec<u64>>, Option<Self>) {
        if self.classes <= Self::MOST_ROWS {
            (self.rows(), None)
        } else {
            (Vec::new(), Some(self))
        }
    }

    /// The number of images.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, _, images)| images).sum()
    }

    /// The number of images of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<u64> {
        self.summed(|(actual, _)| Some(actual))
    }

    fn correct(&self) -> Vec<u64> {
        self.summed(|(actual, predicted)| (actual == predicted).then_some(actual))
    }

    /// For each class, the sum of the counts that belong to it.
    fn summed(&self, class: impl Fn((usize, usize)) -> Option<usize>) -> Vec<u64> {
        let mut sums = vec![0; self.classes];
        for &(actual, predicted, images) in &self.counts {
            if let Some(class) = class((actual, predicted)) {
                sums[class] += images;
            }
        }
        sums
    }

    /// The share of the images that are classified correctly; 0 without images.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct().iter().sum(), self.total())
    }

    /// For each class, the share of its images that are classified correctly (recall); 0 for a class
    /// without images.
    #[must_use]
    pub fn per_class_accuracy(&self) -> Vec<f64> {
        let classes = self.correct().into_iter().zip(self.per_class());
        classes
            .map(|(correct, images)| ratio(correct, images))
            .collect()
    }

    /// For each class, the share of its images that are classified correctly: `correct / images`;
    /// `None` for a class without images, of which nothing was measured.
    #[must_use]
    pub fn recall(&self) -> Vec<Option<f64>> {
        defined_ratios(&self.correct(), &self.per_class())
    }

    /// For each class, the share of the images taken for it that belong to it:
    /// `correct / predictions`; `None` for a class that is never predicted.
    #[must_use]
    pub fn precision(&self) -> Vec<Option<f64>> {
        defined_ratios(&self.correct(), &self.predictions())
    }

    /// Balanced accuracy: the mean of the [recall](Self::recall) over the classes that have images;
    /// 0 without images.
    ///
    /// As scikit-learn's `balanced_accuracy_score`. Brodersen et al., *The balanced accuracy and its
    /// posterior distribution*, ICPR 2010.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        mean(self.recall().into_iter().flatten())
    }

    /// Macro-F1: the mean of `F1 = 2 · correct / (images + predictions)` over the classes that have
    /// images or predictions; 0 without images.
    ///
    /// As scikit-learn's `f1_score(average="macro")` with its default labels, which are the classes
    /// that appear among the labels or the predictions. A class that has only images or only
    /// predictions counts as 0.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        let (images, predictions) = (self.per_class(), self.predictions());
        let appearances: Vec<_> = images.iter().zip(predictions).map(|(a, b)| a + b).collect();
        let twice: Vec<_> = self.correct().iter().map(|correct| 2 * correct).collect();
        mean(defined_ratios(&twice, &appearances).into_iter().flatten())
    }

    /// The number of predictions of each class.
    fn predictions(&self) -> Vec<u64> {
        self.summed(|(_, predicted)| Some(predicted))
    }
}

impl TryFrom<Unchecked> for Confusion {
    type Error = &'static str;

    fn try_from(Unchecked { classes, counts }: Unchecked) -> Result<Self, Self::Error> {
        if counts.iter().any(|count| count.0.max(count.1) >= classes) {
            return Err("a confusion matrix counts images of a class that it does not have");
        }
        let place = |count: &(usize, usize, u64)| (count.0, count.1);
        if !counts.is_sorted_by(|a, b| place(a) < place(b)) {
            return Err("the counts of a confusion matrix are not in order");
        }
        let total = counts
            .iter()
            .try_fold(0_u64, |sum, count| sum.checked_add(count.2));
        if total.is_none() {
            return Err("a confusion matrix counts too many images");
        }
        Ok(Self { classes, counts })
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

/// The ratio of each part to its whole; `None` if the whole is 0.
fn defined_ratios(parts: &[u64], wholes: &[u64]) -> Vec<Option<f64>> {
    let pairs = parts.iter().zip(wholes);
    pairs
        .map(|(part, whole)| (*whole > 0).then(|| ratio(*part, *whole)))
        .collect()
}

/// The mean; 0 without values.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
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
        assert_eq!(confusion.per_class(), [4, 3, 1]);
    }

    #[test]
    fn classes_that_do_not_appear_count_neither_for_f1_nor_for_balanced_accuracy() {
        let confusion = Confusion::from_predictions(3, &[0, 0], &[0, 0]).unwrap();
        assert_eq!(confusion.macro_f1().to_bits(), 1.0_f64.to_bits());
        assert_eq!(confusion.balanced_accuracy().to_bits(), 1.0_f64.to_bits());
        assert_eq!(confusion.recall(), [Some(1.0), None, None]);
        // Class 1 is predicted but has no images: its F1 is 0 and counts, its recall does not exist.
        let confusion = Confusion::from_predictions(3, &[0, 0], &[0, 1]).unwrap();
        assert!((confusion.macro_f1() - (2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert!((confusion.balanced_accuracy() - 0.5).abs() < 1e-12);
        assert_eq!(confusion.precision(), [Some(1.0), Some(0.0), None]);
    }

    #[test]
    fn indices_out_of_range_and_unequal_lengths_are_errors() {
        assert!(Confusion::from_predictions(2, &[0, 2], &[0, 1]).is_err());
        assert!(Confusion::from_predictions(2, &[0], &[0, 1]).is_err());
        let none = Confusion::from_predictions(2, &[], &[]).unwrap();
        assert_eq!(none, Confusion::new(2));
        assert_eq!((none.accuracy(), none.macro_f1()), (0.0, 0.0));
        assert_eq!(none.balanced_accuracy().to_bits(), 0.0_f64.to_bits());
        assert_eq!(none.precision(), [None, None]);
    }

    #[test]
    fn rows_are_read_as_they_are_written() {
        let confusion = Confusion::from_predictions(3, &[0, 2, 2], &[1, 2, 2]).unwrap();
        assert_eq!(confusion.counts(), [(0, 1, 1), (2, 2, 2)]);
        assert_eq!(Confusion::from_rows(&confusion.rows()), confusion);
        let ragged = Confusion::from_rows(&[vec![1, 2, 3]]);
        assert_eq!((ragged.classes(), ragged.total()), (3, 6));
        let twice = Confusion::sum([confusion.clone(), confusion]);
        assert_eq!(twice.rows(), [[0, 2, 0], [0, 0, 0], [0, 0, 4]]);
    }

    #[test]
    fn a_matrix_from_a_file_is_checked() {
        let read = |counts: &str| {
            let text = format!(r#"{{"classes": 3, "counts": {counts}}}"#);
            serde_json::from_str::<Confusion>(&text)
        };
        assert_eq!(read("[[0, 2, 4], [1, 0, 1]]").unwrap().total(), 5);
        for counts in [
            "[[0, 3, 1]]",
            "[[1, 0, 1], [0, 2, 4]]",
            "[[0, 2, 1], [0, 2, 4]]",
            "[[0, 1, 18446744073709551615], [0, 2, 1]]",
        ] {
            assert!(read(counts).is_err(), "{counts}");
        }
    }
}
