//! What a method's models answered on the test images.

use crate::error::EvaluationError;

/// Which test images the models of one method classified correctly, per seed.
///
/// All methods of a comparison are tested on the same images in the same order: image `i` of one is
/// image `i` of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    correct: Vec<Vec<bool>>,
}

impl Outcomes {
    /// The model of seed `s` classified image `i` correctly if `correct[s][i]`.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Outcomes`] if the seeds have different numbers of images.
    pub fn new(correct: Vec<Vec<bool>>) -> Result<Self, EvaluationError> {
        let expected = correct.first().map_or(0, Vec::len);
        match correct.iter().find(|seed| seed.len() != expected) {
            Some(seed) => Err(EvaluationError::Outcomes {
                expected,
                found: seed.len(),
            }),
            None => Ok(Self { correct }),
        }
    }

    /// Number of seeds.
    #[must_use]
    pub fn seeds(&self) -> usize {
        self.correct.len()
    }

    /// Number of test images; 0 without seeds.
    #[must_use]
    pub fn images(&self) -> usize {
        self.correct.first().map_or(0, Vec::len)
    }

    /// The outcomes: `correct[seed][image]`.
    #[must_use]
    pub fn correct(&self) -> &[Vec<bool>] {
        &self.correct
    }

    /// Number of correctly classified images of each seed.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let count = |seed: &Vec<bool>| seed.iter().filter(|correct| **correct).count();
        self.correct.iter().map(count).collect()
    }

    /// The mean accuracy over the seeds; `None` without seeds or images.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn accuracy(&self) -> Option<f64> {
        let outcomes = self.seeds() * self.images();
        let correct: usize = self.counts().iter().sum();
        (outcomes > 0).then(|| correct as f64 / outcomes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_accuracy_is_over_all_seeds_and_images() {
        let outcomes = Outcomes::new(vec![vec![true, true], vec![true, false]]).unwrap();
        assert_eq!((outcomes.seeds(), outcomes.images()), (2, 2));
        assert_eq!(outcomes.counts(), [2, 1]);
        assert_eq!(outcomes.accuracy(), Some(0.75));
        assert_eq!(Outcomes::new(Vec::new()).unwrap().accuracy(), None);
        assert_eq!(Outcomes::new(vec![Vec::new()]).unwrap().accuracy(), None);
        assert!(Outcomes::new(vec![vec![true], Vec::new()]).is_err());
    }
}
