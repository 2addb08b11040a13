//! How well images are classified that were left out.

/// How well images are classified that a fit did not see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Share of the images that are classified correctly.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
}

impl Score {
    /// The score of logarithms of probabilities, one row for each image beside its class.
    pub(crate) fn of<'a>(images: impl Iterator<Item = (&'a [f64], usize)>) -> Self {
        let (mut count, mut correct, mut loss) = (0.0, 0.0, 0.0);
        for (row, label) in images {
            let own = row[label];
            // The first of equally probable classes is the answer.
            let others_are_less = row[..label].iter().all(|other| *other < own)
                && row[label..].iter().all(|other| *other <= own);
            count += 1.0;
            correct += f64::from(u8::from(others_are_less));
            loss -= own;
        }
        Self {
            accuracy: correct / count,
            loss: loss / count,
        }
    }

    /// Whether it is better: fewer images are classified wrongly or, if they are equally many, the loss is
    /// lower.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let apart = self.accuracy.total_cmp(&other.accuracy);
        apart.then(other.loss.total_cmp(&self.loss)).is_gt()
    }

    /// `97.3 %`.
    pub(crate) fn percent(&self) -> String {
        format!("{:.1} %", 100.0 * self.accuracy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_share_of_correct_answers_and_the_mean_loss() {
        let rows = [[-0.1, -3.0], [-0.7, -0.7], [-0.7, -0.7], [-2.0, -0.5]];
        let labels = [0, 0, 1, 1];
        let score = Score::of(rows.iter().map(|row| &row[..]).zip(labels));
        assert!((score.accuracy - 0.75).abs() < 1e-12 && (score.loss - 0.5).abs() < 1e-12);
        assert_eq!(score.percent(), "75.0 %");
    }

    #[test]
    fn accuracy_counts_before_loss() {
        let score = |accuracy, loss| Score { accuracy, loss };
        assert!(score(0.9, 5.0).beats(&score(0.8, 0.1)));
        assert!(score(0.9, 0.1).beats(&score(0.9, 0.2)));
        assert!(!score(0.9, 0.2).beats(&score(0.9, 0.2)));
    }
}
