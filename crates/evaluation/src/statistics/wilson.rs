//! The confidence interval of a share.

/// The 95 % confidence interval `(low, high)` of a share of which `correct` of `total` were
/// observed; `(0, 1)` if `total` is 0.
///
/// The score interval of Wilson, *Probable inference, the law of succession, and statistical
/// inference*, Journal of the American Statistical Association 22 (1927), pages 209–212.
#[must_use]
pub fn wilson(correct: f64, total: f64) -> (f64, f64) {
    if total <= 0.0 {
        return (0.0, 1.0);
    }
    let z = 1.959_963_984_540_054_f64;
    let share = correct / total;
    let middle = share + z * z / (2.0 * total);
    let half = z * (share * (1.0 - share) / total + z * z / (4.0 * total * total)).sqrt();
    let scale = 1.0 + z * z / total;
    ((middle - half) / scale, (middle + half) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_nine_of_ten_agrees_with_r() {
        // binom::binom.wilson(9, 10) in R gives 0.5958500 and 0.9821238.
        let (low, high) = wilson(9.0, 10.0);
        assert!((low - 0.595_850_0).abs() < 1e-6 && (high - 0.982_123_8).abs() < 1e-6);
    }
}
