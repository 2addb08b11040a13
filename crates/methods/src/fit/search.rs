//! The strength of the regularisation, chosen by cross-validation.
//!
//! What is compared is the cross-entropy of the images that are held out, and not how many of them are
//! classified correctly: of few images, that number says little, and classes that are far apart are
//! classified correctly with any strength.

use std::collections::BTreeMap;

use super::lbfgs::Limits;
use super::logistic::Regression;
use super::score::Score;

/// Steps per factor of 10.
const STEPS: i32 = 4;

/// Factors of 10 between 1 and the least and the largest value, as in CLIP's linear probe (Radford et al.
/// 2021, arXiv:2103.00020, appendix A.3).
const DECADES: i32 = 6;

/// Distances between the values of each round, in steps: the first covers the whole range, later ones try
/// the neighbours of the best.
const ROUNDS: [i32; 4] = [2 * STEPS, STEPS, STEPS / 2, 1];

/// Largest entry of the gradient where a fit of a fold ends, and its most iterations: a tenth and ten times
/// scikit-learn's defaults.
const TOLERANCE: f64 = 1e-5;
const ITERATIONS: usize = 1000;

/// The value of `C` in this many steps from 1.
pub(crate) fn value(step: i32) -> f64 {
    10_f64.powf(f64::from(step) / f64::from(STEPS))
}

/// The value of `C` with the lowest loss, and its score; `None` if a fit was stopped.
pub(crate) fn search(mut score: impl FnMut(f64) -> Option<Score>) -> Option<(f64, Score)> {
    let range = -DECADES * STEPS..=DECADES * STEPS;
    let mut known: BTreeMap<i32, Score> = BTreeMap::new();
    let mut best: Option<(i32, Score)> = None;
    for distance in ROUNDS {
        let values: Vec<i32> = match best {
            #[allow(clippy::cast_sign_loss)] // a constant
            None => range.clone().step_by(distance as usize).collect(),
            Some((step, _)) => vec![step - distance, step + distance],
        };
        for step in values {
            if !range.contains(&step) || known.contains_key(&step) {
                continue;
            }
            let found = score(value(step))?;
            known.insert(step, found);
            if best.is_none_or(|(_, best)| found.loss < best.loss) {
                best = Some((step, found));
            }
        }
    }
    best.map(|(step, score)| (value(step), score))
}

/// Cross-validation of one regression with different values of `C`.
pub(crate) struct CrossValidation<'a> {
    regression: &'a Regression<'a>,
    labels: &'a [usize],
    /// How much each image counts.
    shares: &'a [f64],
    /// The fold that holds each image out.
    folds: &'a [Option<usize>],
    stop: &'a dyn Fn() -> bool,
    /// For each fold, where its last fit ended: the next one is near.
    coefficients: Vec<Vec<f64>>,
}

impl<'a> CrossValidation<'a> {
    pub(crate) fn new(
        regression: &'a Regression<'a>,
        labels: &'a [usize],
        shares: &'a [f64],
        (count, folds): (usize, &'a [Option<usize>]),
        stop: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            regression,
            labels,
            shares,
            folds,
            stop,
            coefficients: vec![regression.zeros(); count],
        }
    }

    /// The score of the images that are held out, each classified by the fit of the other folds; `None` if
    /// it was stopped.
    pub(crate) fn score(&mut self, c: f64) -> Option<Score> {
        let limits = Limits {
            tolerance: TOLERANCE,
            iterations: ITERATIONS,
            stop: self.stop,
        };
        let mut held_out: Vec<(Vec<f64>, usize)> = Vec::with_capacity(self.labels.len());
        for (fold, coefficients) in self.coefficients.iter_mut().enumerate() {
            let shares = self.shares.iter().zip(self.folds);
            let shares: Vec<f64> = shares
                .map(|(share, own)| if *own == Some(fold) { 0.0 } else { *share })
                .collect();
            let start = std::mem::take(coefficients);
            *coefficients = self.regression.fit(c, &shares, start, &limits)?.x;
            let logarithms = self.regression.log_probabilities(coefficients);
            let rows = logarithms.chunks_exact(logarithms.len() / self.labels.len().max(1));
            let images = rows.zip(self.labels).zip(self.folds);
            let own = images.filter(|(_, own)| **own == Some(fold));
            held_out.extend(own.map(|((row, label), _)| (row.to_vec(), *label)));
        }
        let rows = held_out.iter().map(|(row, label)| (row.as_slice(), *label));
        Some(Score::of(rows))
    }
}

#[cfg(test)]
mod tests {
    use finetune_kernels::host::Matrix;

    use super::*;

    /// Searches a score that is best at a value of `C`; returns what was tried, in factors of 10.
    fn tried(best: f64) -> (f64, Vec<f64>) {
        let mut tried = Vec::new();
        let found = search(|c| {
            tried.push(c.log10());
            Some(Score {
                accuracy: 0.5,
                loss: (c.log10() - best).abs(),
            })
        });
        (found.unwrap().0.log10(), tried)
    }

    #[test]
    fn the_search_goes_from_coarse_to_fine_and_stays_within_its_range() {
        let (found, all) = tried(1.3);
        let wanted = [
            -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 0.5, 1.5, 1.25, 1.75,
        ];
        assert_eq!(all.len(), wanted.len());
        for (found, wanted) in all.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{all:?}");
        }
        assert!((found - 1.25).abs() < 1e-12);
        for (best, wanted) in [(-9.0, -6.0), (9.0, 6.0), (-0.6, -0.5), (5.1, 5.0)] {
            let (found, all) = tried(best);
            assert!((found - wanted).abs() < 1e-12, "{best} {found}");
            assert!(all.iter().all(|c| c.abs() < 6.0 + 1e-12));
        }
        assert_eq!(search(|_| None), None);
    }

    #[test]
    fn held_out_images_are_classified_as_by_scikit_learn() {
        use serde_json::Value;

        let fixture = include_str!("../../tests/fixtures/probe.json");
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let numbers =
            |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
        let places =
            |value: &Value| -> Vec<usize> { serde_json::from_value(value.clone()).unwrap() };
        let labels = places(&fixture["train"]["labels"]);
        let rows = fixture["train"]["features"].as_array().unwrap();
        let (mean, scale) = (numbers(&fixture["mean"]), numbers(&fixture["scale"]));
        let scaled = rows.iter().flat_map(|row| {
            let row = numbers(row).into_iter().zip(mean.iter().zip(&scale));
            row.map(|(value, (mean, scale))| (value - mean) / scale)
                .collect::<Vec<_>>()
        });
        let features = Matrix::new(scaled.collect(), [labels.len(), mean.len()]);
        let regression = Regression::new(&features, &labels, 3);
        let own = &fixture["cross_validation"];
        let folds: Vec<Option<usize>> = places(&own["folds"]).into_iter().map(Some).collect();
        let shares = vec![1.0; labels.len()];
        let folds = (5, folds.as_slice());
        let mut validation = CrossValidation::new(&regression, &labels, &shares, folds, &|| false);
        for wanted in own["scores"].as_array().unwrap() {
            let wanted_of = |key: &str| wanted[key].as_f64().unwrap();
            let found = validation.score(wanted_of("c")).unwrap();
            assert!(
                (found.accuracy - wanted_of("accuracy")).abs() < 1e-12,
                "{found:?} {wanted}"
            );
            // The fixture's fits go on to their optima.
            let apart = (found.loss / wanted_of("loss") - 1.0).abs();
            assert!(apart < 5e-3, "{found:?} {wanted}");
        }
    }
}
