//! The variance of a difference of two mean accuracies, from images and from seeds.

use super::distributions::normal_tail;
use super::outcomes::Outcomes;

/// The estimated variance of the difference of two methods' mean accuracies, in its parts.
///
/// [`Difference`](super::Difference) gives the model. With `σ²` for the variances of the effects of
/// images, of seeds and of what remains, `N` images and `S` seeds, the parts estimate the sums that
/// are given with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Variance {
    /// From the spread over the images: `σ²_images / N + σ²_rest / (S·N)`.
    pub(crate) images: f64,
    /// From the spread over the seeds: `σ²_seeds / S + σ²_rest / (S·N)`.
    pub(crate) seeds: f64,
    /// What both contain: `σ²_rest / (S·N)`.
    pub(crate) rest: f64,
    /// Degrees of freedom of `seeds`; 0 if the spread over the seeds is not known, because a method
    /// has one seed.
    pub(crate) degrees: usize,
}

/// A difference of two mean accuracies with its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The mean accuracy of the first method minus that of the second.
    pub(crate) value: f64,
    /// The centre of its intervals, a little nearer to 0.
    pub(crate) centre: f64,
    /// The variance of both.
    pub(crate) variance: Variance,
}

/// Estimates the difference of two methods that have seeds and the same number of images, at least
/// one each.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn estimate(first: &Outcomes, second: &Outcomes) -> Estimate {
    let differences = differences(&mean_outcomes(first), &mean_outcomes(second));
    let images = differences.len() as f64;
    let value = differences.iter().sum::<f64>() / images;
    let squares: f64 = differences.iter().map(|d| d * d).sum();
    let differing = differences.iter().filter(|d| d.abs() > 0.0).count() as f64;
    // Two more images, one in favour of each method, that differ as the others do on average. One that
    // differs completely is included in this average, so that it exists without any.
    let square = (squares + 1.0) / (differing + 1.0);
    let more = images + 2.0;
    let centre = value * images / more;
    let of_images = ((squares + 2.0 * square) / more - centre * centre) / more;

    let least = first.seeds().min(second.seeds());
    let parts = if least < 2 {
        Vec::new()
    } else if first.seeds() == second.seeds() {
        let pairs = rows(first).zip(rows(second));
        let pairs: Vec<_> = pairs.map(|(a, b)| self::differences(&a, &b)).collect();
        vec![mean_squares(&pairs)]
    } else {
        let of = |outcomes| mean_squares(&rows(outcomes).collect::<Vec<_>>());
        vec![of(first), of(second)]
    };
    Estimate {
        value,
        centre,
        variance: Variance {
            images: of_images,
            seeds: parts.iter().map(|(seeds, _)| seeds).sum(),
            rest: parts.iter().map(|(_, rest)| rest).sum(),
            degrees: least - 1,
        },
    }
}

fn rows(outcomes: &Outcomes) -> impl Iterator<Item = Vec<f64>> {
    let value = |correct: &bool| f64::from(u8::from(*correct));
    let rows = outcomes.correct().iter();
    rows.map(move |seed| seed.iter().map(value).collect())
}

/// For each image, the share of the seeds that classify it correctly.
#[allow(clippy::cast_precision_loss)]
fn mean_outcomes(outcomes: &Outcomes) -> Vec<f64> {
    let seeds = outcomes.seeds() as f64;
    let count = |image| outcomes.correct().iter().filter(move |seed| seed[image]);
    (0..outcomes.images())
        .map(|image| count(image).count() as f64 / seeds)
        .collect()
}

fn differences(first: &[f64], second: &[f64]) -> Vec<f64> {
    first.iter().zip(second).map(|(a, b)| a - b).collect()
}

/// The mean squares of seeds and of the rest in the two-way analysis of variance of
/// `rows[seed][image]`, each divided by the number of values. With one image, seeds and rest cannot be
/// told apart, and all counts as seeds.
#[allow(clippy::cast_precision_loss)]
fn mean_squares(rows: &[Vec<f64>]) -> (f64, f64) {
    let (seeds, images) = (rows.len() as f64, rows[0].len() as f64);
    let of_seeds: Vec<f64> = rows
        .iter()
        .map(|row| row.iter().sum::<f64>() / images)
        .collect();
    let of_images = (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / seeds);
    let mean = of_seeds.iter().sum::<f64>() / seeds;
    let square = |value: f64| (value - mean) * (value - mean);

    let seeds_squares = images * of_seeds.iter().map(|value| square(*value)).sum::<f64>();
    let images_squares = seeds * of_images.map(square).sum::<f64>();
    let all_squares: f64 = rows.iter().flatten().map(|value| square(*value)).sum();
    let rest_squares = (all_squares - seeds_squares - images_squares).max(0.0);

    let values = seeds * images;
    let rest_degrees = (seeds - 1.0) * (images - 1.0).max(1.0);
    (
        seeds_squares / (seeds - 1.0) / values,
        rest_squares / rest_degrees / values,
    )
}

impl Variance {
    /// The part that only more images reduce.
    pub(crate) fn images_alone(&self) -> f64 {
        (self.images - self.rest).max(0.0)
    }

    /// The part that only more seeds reduce.
    pub(crate) fn seeds_alone(&self) -> f64 {
        (self.seeds - self.rest).max(0.0)
    }

    /// The variance if the spread over the seeds is `factor` times the estimated one. At least half of
    /// what the images show: `images − rest` is a difference of estimates, which chance may make 0.
    fn with_seeds_times(&self, factor: f64) -> f64 {
        (self.images_alone() + self.seeds * factor).max(self.images / 2.0)
    }

    /// The estimated variance of the difference.
    pub(crate) fn total(&self) -> f64 {
        if self.degrees == 0 {
            self.images
        } else {
            self.with_seeds_times(1.0)
        }
    }

    /// The distribution of the estimation error, to take several tails of it.
    pub(crate) fn errors(&self) -> Errors {
        if self.degrees == 0 {
            let normal = (self.images.sqrt(), 1.0);
            return Errors(vec![normal]);
        }
        let nodes = scaled_chi_square(self.degrees);
        let deviation = |(ratio, weight)| (self.with_seeds_times(1.0 / ratio).sqrt(), weight);
        Errors(nodes.into_iter().map(deviation).collect())
    }
}

/// A mixture of normal distributions around 0: standard deviations and weights.
pub(crate) struct Errors(Vec<(f64, f64)>);

impl Errors {
    /// The probability of an error of at least `distance`, in either direction.
    pub(crate) fn two_sided(&self, distance: f64) -> f64 {
        let tail = |(deviation, weight): &(f64, f64)| weight * normal_tail(distance / deviation);
        (2.0 * self.0.iter().map(tail).sum::<f64>()).min(1.0)
    }

    /// The distance that errors exceed with the probability `level`; at most 2, the largest
    /// difference between two differences of accuracies.
    pub(crate) fn quantile(&self, level: f64) -> f64 {
        let (mut low, mut high) = (0.0, 2.0);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if self.two_sided(middle) > level {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

/// The distribution of `χ² / degrees` as values with weights that add up to 1: the trapezoidal rule
/// over the logarithm, whose error falls exponentially with the number of nodes for a smooth density
/// that vanishes at both ends.
#[allow(clippy::cast_precision_loss)]
fn scaled_chi_square(degrees: usize) -> Vec<(f64, f64)> {
    const NODES: u32 = 256;
    let half = degrees as f64 / 2.0;
    // The logarithm has a standard deviation of about 1/√half. Its lower tail falls as e^(half · x),
    // its upper tail as e^(−half · eˣ): less than 1e-7 of the distribution lies outside.
    let (low, high) = (
        -7.0 / half.sqrt() - 12.0 / half,
        (1.0 + 8.0 / half.sqrt() + 40.0 / half).ln(),
    );
    let step = (high - low) / f64::from(NODES);
    let node = |index: u32| {
        let logarithm = low + step * f64::from(index);
        let ratio = logarithm.exp();
        (ratio, (half * (logarithm - ratio + 1.0)).exp())
    };
    let nodes: Vec<_> = (0..=NODES).map(node).collect();
    let sum: f64 = nodes.iter().map(|(_, weight)| weight).sum();
    nodes
        .into_iter()
        .map(|(ratio, weight)| (ratio, weight / sum))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(images: f64, seeds: f64, rest: f64, degrees: usize) -> Errors {
        let variance = Variance {
            images,
            seeds,
            rest,
            degrees,
        };
        variance.errors()
    }

    #[test]
    fn without_variance_of_images_errors_have_a_t_distribution() {
        // scipy.stats.t.ppf(0.975, degrees) and ppf(0.9975, degrees), times a deviation of 0.01.
        for (degrees, level, expected) in [
            (1, 0.05, 12.706_204_736_174_694),
            (4, 0.05, 2.776_445_105_197_793_4),
            (4, 0.005, 5.597_568_367_075_492),
            (19, 0.05, 2.093_024_054_408_308_7),
            (399, 0.05, 1.965_927_295_920_882),
        ] {
            let quantile = errors(0.0, 1e-4, 0.0, degrees).quantile(level);
            let error = (quantile / (0.01 * expected) - 1.0).abs();
            assert!(error < 1e-6, "{degrees}: {quantile}");
        }
    }

    #[test]
    fn without_variance_of_seeds_errors_have_a_normal_distribution() {
        for degrees in [0, 4] {
            let quantile = errors(1e-4, 0.0, 0.0, degrees).quantile(0.05);
            assert!((quantile - 0.019_599_639_845).abs() < 1e-9, "{quantile}");
        }
    }
}
