//! Distribution functions that tests and intervals need.

use std::f64::consts::PI;

/// The upper tail `P(Z > x)` of the standard normal distribution.
///
/// Up to 3, by the series `φ(x)·(x + x³/3 + x⁵/15 + …)` for `P(0 < Z < x)`; beyond, by Laplace's
/// continued fraction (*Digital Library of Mathematical Functions*, 7.9.1).
pub(crate) fn normal_tail(x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - normal_tail(-x);
    }
    let density = (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
    if x > 3.0 {
        let fraction = (1..=60).rev().fold(x, |below, k| x + f64::from(k) / below);
        return density / fraction;
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term > 1e-17 * sum {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 - density * sum
}

/// The logarithm of the gamma function, for `x > 0`: Stirling's series (*Digital Library of
/// Mathematical Functions*, 5.11.1) for `x + 10`, and the recurrence from there.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let product: f64 = (0..10).map(|k| x + f64::from(k)).product();
    let x = x + 10.0;
    let square = x * x;
    let series =
        (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / 1680.0 / square) / square) / square) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        let error = (value - expected).abs();
        assert!(error <= 1e-12 * expected.abs(), "{value:e} {expected:e}");
    }

    #[test]
    fn distribution_functions_agree_with_scipy() {
        // scipy.stats.norm.sf
        close(normal_tail(0.0), 0.5);
        close(normal_tail(1.96), 0.024_997_895_148_220_435);
        close(normal_tail(-1.0), 0.841_344_746_068_542_9);
        close(normal_tail(3.0), 0.001_349_898_031_630_093_3);
        close(normal_tail(3.000_001), 0.001_349_893_599_788_329_7);
        close(normal_tail(10.0), 7.619_853_024_160_47e-24);
        // scipy.special.gammaln
        close(ln_gamma(0.5), 0.572_364_942_924_7);
        close(ln_gamma(12.25), 18.115_669_505_710_894);
    }
}
