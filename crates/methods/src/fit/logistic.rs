//! Multinomial logistic regression with L2 regularisation, as scikit-learn's `LogisticRegression`.

use finetune_kernels::host::Matrix;

use super::lbfgs::{Limits, Minimum, minimize};

/// Features and classes of images, and how much each image counts.
pub(crate) struct Regression<'a> {
    /// `[images, width]`.
    features: &'a Matrix,
    labels: &'a [usize],
    classes: usize,
}

impl<'a> Regression<'a> {
    pub(crate) fn new(features: &'a Matrix, labels: &'a [usize], classes: usize) -> Self {
        Self {
            features,
            labels,
            classes,
        }
    }

    fn width(&self) -> usize {
        self.features.shape()[1]
    }

    /// Coefficients of 0: weights `[classes, width]`, row by row, and then biases `[classes]`.
    pub(crate) fn zeros(&self) -> Vec<f64> {
        vec![0.0; self.classes * (self.width() + 1)]
    }

    /// The weights and the biases of coefficients.
    pub(crate) fn parts<'b>(&self, coefficients: &'b [f64]) -> (&'b [f64], &'b [f64]) {
        coefficients.split_at(self.classes * self.width())
    }

    /// Minimises `Σᵢ sᵢ·ℓᵢ + ‖W‖²/(2·C)` from `start`, where `ℓᵢ` is the cross-entropy of image `i` and
    /// `sᵢ` its `share`; 0 leaves the image out. Biases are not regularised. What is minimised is divided
    /// by `Σᵢ sᵢ`, so that the tolerance does not depend on the number of images. `None` if it was stopped.
    ///
    /// With two classes, scikit-learn has one vector of weights instead of two. These two are half of that
    /// vector and its negative, and their penalty is doubled so that the same `C` gives the same
    /// probabilities.
    pub(crate) fn fit(
        &self,
        c: f64,
        shares: &[f64],
        start: Vec<f64>,
        limits: &Limits<'_>,
    ) -> Option<Minimum> {
        let total: f64 = shares.iter().sum();
        let factor = if self.classes == 2 { 2.0 } else { 1.0 };
        let penalty = factor / (c * total.max(f64::MIN_POSITIVE));
        minimize(start, limits, |coefficients, gradient| {
            let mut rows = self.logits(coefficients);
            let mut loss = 0.0;
            for ((row, label), share) in self.by_image(&mut rows).zip(self.labels).zip(shares) {
                let weight = share / total;
                loss -= weight * log_softmax(row)[*label];
                // The gradient of the loss with respect to the logits.
                for log in row.iter_mut() {
                    *log = weight * log.exp();
                }
                row[*label] -= weight;
            }
            let (weights, _) = self.parts(coefficients);
            let (of_weights, of_biases) = gradient.split_at_mut(weights.len());
            of_biases.fill(0.0);
            for row in self.by_image(&mut rows) {
                for (sum, value) in of_biases.iter_mut().zip(row) {
                    *sum += *value;
                }
            }
            let errors = Matrix::new(rows, [self.labels.len(), self.classes]);
            let products = errors.transposed().times(self.features).into_values();
            for ((gradient, product), weight) in of_weights.iter_mut().zip(products).zip(weights) {
                *gradient = product + penalty * weight;
            }
            let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
            loss + 0.5 * penalty * squares
        })
    }

    /// The logarithms of the probabilities, `[images, classes]`.
    pub(crate) fn log_probabilities(&self, coefficients: &[f64]) -> Vec<f64> {
        let mut rows = self.logits(coefficients);
        for row in self.by_image(&mut rows) {
            log_softmax(row);
        }
        rows
    }

    fn logits(&self, coefficients: &[f64]) -> Vec<f64> {
        let (weights, biases) = self.parts(coefficients);
        let weights = Matrix::new(weights.to_vec(), [self.classes, self.width()]);
        let mut logits = self.features.times(&weights.transposed()).into_values();
        for row in self.by_image(&mut logits) {
            for (logit, bias) in row.iter_mut().zip(biases) {
                *logit += bias;
            }
        }
        logits
    }

    fn by_image<'b>(&self, rows: &'b mut [f64]) -> impl Iterator<Item = &'b mut [f64]> + use<'b> {
        rows.chunks_exact_mut(self.classes.max(1))
    }
}

/// Replaces logits by logarithms of probabilities, and returns them.
fn log_softmax(row: &mut [f64]) -> &[f64] {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|logit| (logit - most).exp()).sum();
    let shift = most + sum.ln();
    for logit in row.iter_mut() {
        *logit -= shift;
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: fn() -> bool = || false;

    fn limits() -> Limits<'static> {
        Limits {
            tolerance: 1e-12,
            iterations: 1000,
            stop: &NEVER,
        }
    }

    #[test]
    fn biases_alone_are_the_logarithms_of_the_shares_of_the_classes() {
        // Features of 0 say nothing.
        let features = Matrix::new(vec![0.0; 4], [4, 1]);
        let regression = Regression::new(&features, &[0, 0, 0, 1], 2);
        let fit = |shares: [f64; 4]| {
            let found = regression.fit(1.0, &shares, regression.zeros(), &limits());
            let found = found.unwrap();
            assert!(found.gradient <= 1e-12);
            regression.log_probabilities(&found.x)[0].exp()
        };
        assert!((fit([1.0; 4]) - 0.75).abs() < 1e-9);
        assert!((fit([1.0, 0.0, 0.0, 1.0]) - 0.5).abs() < 1e-9);
        assert!((fit([1.0, 1.0, 1.0, 6.0]) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_gradient_is_0_at_the_minimum_by_hand() {
        // Two images at -1 and 1: by symmetry, the biases are 0 and the weights -w and w. Then the loss is
        // 2·ln(1 + exp(-2w)), and with scikit-learn's penalty of the one weight 2w,
        // -4/(1 + exp(2w)) + 4w/C = 0.
        let features = Matrix::new(vec![-1.0, 1.0], [2, 1]);
        let regression = Regression::new(&features, &[0, 1], 2);
        for c in [0.01, 1.0, 100.0] {
            let found = regression.fit(c, &[1.0; 2], regression.zeros(), &limits());
            let coefficients = found.unwrap().x;
            let w = coefficients[1];
            assert!((coefficients[0] + w).abs() < 1e-9);
            assert!(coefficients[2].abs() < 1e-9 && coefficients[3].abs() < 1e-9);
            let wanted = c / (1.0 + (2.0 * w).exp());
            assert!((w - wanted).abs() < 1e-8 * c, "{c} {w} {wanted}");
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let mut row = [1e4, -1e4, 0.0];
        assert_eq!(log_softmax(&mut row), [0.0, -2e4, -1e4]);
    }
}
