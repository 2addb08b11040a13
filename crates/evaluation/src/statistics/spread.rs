//! Mean, standard deviation and median.

/// The mean of some values, and how far they scatter around it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation (divisor `n - 1`); 0 for a single value.
    pub std: f64,
}

impl Spread {
    /// Computes mean and standard deviation of `values`; both are 0 without values.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        if values.is_empty() {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = if values.len() < 2 {
            0.0
        } else {
            (squares / (count - 1.0)).sqrt()
        };
        Self { mean, std }
    }
}

/// The median: the middle value, or the mean of the middle two of an even number of values; 0
/// without values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_and_median_agree_with_calculations_by_hand() {
        let spread = Spread::of(&[0.90, 0.92, 0.94]);
        assert!((spread.mean - 0.92).abs() < 1e-12 && (spread.std - 0.02).abs() < 1e-12);
        assert_eq!(
            Spread::of(&[0.5]),
            Spread {
                mean: 0.5,
                std: 0.0
            }
        );
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
    }
}
