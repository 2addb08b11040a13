//! Exact tests of paired outcomes, and the correction for several tests.

use std::collections::BTreeMap;

use super::distributions::ln_gamma;

/// McNemar's exact test of two models on the same images: the two-sided p-value if
/// `only_first` images are classified correctly by the first model alone and `only_second` by the
/// second alone; 1 if there are none.
///
/// If both models are equally good, each of these `n` images favours either model with probability
/// one half, so that `p = min(1, 2 · P(X ≤ min(only_first, only_second)))` with `X ~ B(n, ½)`.
/// McNemar, *Note on the sampling error of the difference between correlated proportions or
/// percentages*, Psychometrika 12 (1947), in its exact form; as statsmodels'
/// `mcnemar(exact=True)`. It tests these two models on other images; it says nothing about what other
/// seeds of the same methods would give.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn mcnemar(only_first: usize, only_second: usize) -> f64 {
    let discordant = (only_first + only_second) as f64;
    let ln_factorial = |count: f64| ln_gamma(count + 1.0);
    let probability = |count: usize| {
        let count = count as f64;
        let ways =
            ln_factorial(discordant) - ln_factorial(count) - ln_factorial(discordant - count);
        (ways - discordant * std::f64::consts::LN_2).exp()
    };
    let tail: f64 = (0..=only_first.min(only_second)).map(probability).sum();
    (2.0 * tail).min(1.0)
}

/// The sign-flip test (paired permutation test): the two-sided p-value of the hypothesis that each
/// difference is as likely to be positive as negative. `differences` has one value per pair of seeds,
/// for example the difference of the numbers of correctly classified images; `p = 1` without
/// differences.
///
/// `p` is the share of the `2ⁿ` ways to choose the signs of `n` differences whose sum is at least as
/// far from 0 as the observed one: Fisher, *The Design of Experiments* (1935), section 21; as SciPy's
/// `permutation_test(permutation_type="samples")`. It cannot be less than `2 / 2ⁿ`, which is 0.0625
/// for five seeds.
///
/// The ways are not enumerated but counted by their sum, which is exact for any number of seeds,
/// because the differences are whole numbers. The time is proportional to `n` times the sum of the
/// absolute differences.
#[must_use]
pub fn sign_flip(differences: &[i64]) -> f64 {
    let observed = differences.iter().sum::<i64>().abs();
    // Probability of each sum.
    let mut sums = BTreeMap::from([(0_i64, 1.0_f64)]);
    for difference in differences {
        let mut next = BTreeMap::new();
        for (sum, probability) in sums {
            for flipped in [sum - difference, sum + difference] {
                *next.entry(flipped).or_insert(0.0) += probability / 2.0;
            }
        }
        sums = next;
    }
    let extreme = sums.iter().filter(|(sum, _)| sum.abs() >= observed);
    // The sum of all of more than 50 rounded probabilities may exceed 1 by a rounding error.
    extreme
        .map(|(_, probability)| probability)
        .sum::<f64>()
        .min(1.0)
}

/// Holm's correction: adjusted p-values, in the order of `p_values`. Rejecting every hypothesis whose
/// adjusted p-value is at most `α` rejects a true one with a probability of at most `α`, however the
/// tests depend on each other.
///
/// The `k`-th smallest of `m` p-values is multiplied by `m − k + 1` and limited to 1; none is adjusted
/// to less than a smaller one. Holm, *A simple sequentially rejective multiple test procedure*,
/// Scandinavian Journal of Statistics 6 (1979), pages 65–70.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let (mut adjusted, mut least) = (vec![1.0; p_values.len()], 0.0_f64);
    for (rank, index) in order.into_iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        least = least.max((p_values[index] * remaining).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_agrees_with_calculations_by_hand() {
        let close = |p: f64, expected: f64| assert!((p - expected).abs() < 1e-12, "{p}");
        close(mcnemar(0, 0), 1.0);
        close(mcnemar(3, 3), 1.0);
        close(mcnemar(0, 5), 2.0 / 32.0);
        // 2 · (1 + 6) / 2⁶.
        close(mcnemar(5, 1), 14.0 / 64.0);
        assert!(mcnemar(20_000, 0) >= 0.0 && mcnemar(20_000, 19_000) < 1e-6);
    }

    #[test]
    fn five_seeds_cannot_have_a_smaller_p_value_than_two_of_thirty_two() {
        let equal = |p: f64, expected: f64| assert!((p - expected).abs() < 1e-15, "{p}");
        equal(sign_flip(&[3, 1, 4, 1, 5]), 2.0 / 32.0);
        // 1, 2 and −3 sum to 0, which all eight sums are at least as far from.
        equal(sign_flip(&[1, 2, -3]), 1.0);
        // Sums of ±1 ±1 ±2: 4, 2, 2, 0, 0, −2, −2, −4.
        equal(sign_flip(&[1, -1, 2]), 6.0 / 8.0);
        equal(sign_flip(&[0, 0]), 1.0);
        equal(sign_flip(&[]), 1.0);
        assert!(sign_flip(&[7; 200]) > 0.0);
    }

    #[test]
    fn holm_multiplies_by_the_hypotheses_that_remain() {
        let adjusted = holm(&[0.03, 0.01, 0.04, 0.9]);
        let expected = [0.09, 0.04, 0.09, 0.9];
        for (value, expected) in adjusted.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{value}");
        }
        assert!(holm(&[]).is_empty());
    }
}
