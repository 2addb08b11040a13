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
    /// From the spread over the images: `σ²_images / N`, and `σ²_rest / (S·N)` of both methods.
    pub(crate) images: f64,
    /// From the spread over the seeds of each method.
    pub(crate) methods: [SeedVariance; 2],
}

/// The estimated variance of one method's mean accuracy that shows in the spread over its seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeedVariance {
    /// Number of seeds. Of one seed, no variance is known, and the others are 0.
    pub(crate) seeds: usize,
    /// `σ²_seeds / S + σ²_rest / (S·N)`, with `S − 1` degrees of freedom.
    pub(crate) all: f64,
    /// `σ²_rest / (S·N)`, which the spread over the images contains too.
    pub(crate) rest: f64,
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

    Estimate {
        value,
        centre,
        variance: Variance {
            images: of_images,
            methods: [first, second].map(SeedVariance::of),
        },
    }
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

impl SeedVariance {
    /// The mean squares of seeds and of the rest in the two-way analysis of variance of a method's
    /// outcomes, each divided by the number of outcomes. With one image, seeds and rest cannot be told
    /// apart, and all counts as seeds.
    #[allow(clippy::cast_precision_loss)]
    fn of(outcomes: &Outcomes) -> Self {
        let count = outcomes.seeds();
        if count < 2 {
            let (all, rest) = (0.0, 0.0);
            return Self {
                seeds: count,
                all,
                rest,
            };
        }
        let (seeds, images) = (count as f64, outcomes.images() as f64);
        let of_seeds = outcomes.counts().into_iter();
        let of_seeds: Vec<f64> = of_seeds.map(|correct| correct as f64 / images).collect();
        let mean = of_seeds.iter().sum::<f64>() / seeds;
        let square = |value: &f64| (value - mean) * (value - mean);

        let seed_squares = images * of_seeds.iter().map(square).sum::<f64>();
        let image_squares = seeds * mean_outcomes(outcomes).iter().map(square).sum::<f64>();
        // Outcomes are 0 or 1.
        let all_squares = seeds * images * mean * (1.0 - mean);
        let rest_squares = (all_squares - seed_squares - image_squares).max(0.0);

        let rest_degrees = (seeds - 1.0) * (images - 1.0).max(1.0);
        Self {
            seeds: count,
            all: seed_squares / (seeds - 1.0) / (seeds * images),
            rest: rest_squares / rest_degrees / (seeds * images),
        }
    }

    /// The same with `more` seeds, if they scatter as these do.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn with_more_seeds(&self, more: usize) -> Self {
        let share = self.seeds as f64 / (self.seeds + more) as f64;
        Self {
            seeds: self.seeds + more,
            all: self.all.max(self.rest) * share,
            rest: self.rest * share,
        }
    }

    /// The same if there were fewer or more images, so that the rest is `share` of what it is.
    pub(crate) fn with_rest_times(&self, share: f64) -> Self {
        let rest = self.rest * share;
        Self {
            all: (self.all - self.rest).max(0.0) + rest,
            rest,
            ..*self
        }
    }
}

impl Variance {
    /// Number of seeds of the method with fewer.
    pub(crate) fn fewest_seeds(&self) -> usize {
        let [first, second] = self.methods;
        first.seeds.min(second.seeds)
    }

    /// The part that only more images reduce.
    pub(crate) fn images_alone(&self) -> f64 {
        let [first, second] = self.methods;
        (self.images - first.rest - second.rest).max(0.0)
    }

    /// The variance if what the seeds show is to be multiplied by `factor`. At least half of what the
    /// images show: `images_alone` is a difference of estimates, which chance may make 0.
    fn with_seeds_times(&self, factor: f64) -> f64 {
        let [first, second] = self.methods;
        (self.images_alone() + (first.all + second.all) * factor).max(self.images / 2.0)
    }

    /// The degrees of freedom of what the seeds of both methods show together, after Welch; between
    /// those of the method with fewer seeds and those of both.
    #[allow(clippy::cast_precision_loss)]
    fn degrees(&self) -> f64 {
        let fewest = (self.fewest_seeds() - 1) as f64;
        let sum: f64 = self.methods.iter().map(|method| method.all).sum();
        let of = |method: &SeedVariance| method.all * method.all / (method.seeds - 1) as f64;
        let degrees = sum * sum / self.methods.iter().map(of).sum::<f64>();
        // Without variance, 0 / 0.
        if degrees.is_finite() {
            degrees.max(fewest)
        } else {
            fewest
        }
    }

    /// The estimated variance of the difference, over seeds too if both methods have several.
    pub(crate) fn total(&self) -> f64 {
        if self.fewest_seeds() < 2 {
            self.images
        } else {
            self.with_seeds_times(1.0)
        }
    }

    /// The distribution of the estimation error, to take several tails of it.
    pub(crate) fn errors(&self) -> Errors {
        if self.fewest_seeds() < 2 {
            return Errors(vec![(self.images.sqrt(), 1.0)]);
        }
        let nodes = scaled_chi_square(self.degrees()).into_iter();
        let deviation = |(ratio, weight)| (self.with_seeds_times(1.0 / ratio).sqrt(), weight);
        Errors(nodes.map(deviation).collect())
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
        for _ in 0..30 {
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
fn scaled_chi_square(degrees: f64) -> Vec<(f64, f64)> {
    const NODES: u32 = 256;
    let half = degrees / 2.0;
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

    /// Errors with the variance of the seeds of one method alone.
    fn errors(images: f64, all: f64, seeds: usize) -> Errors {
        let method = |all| SeedVariance {
            seeds,
            all,
            rest: 0.0,
        };
        let methods = [method(all), method(0.0)];
        Variance { images, methods }.errors()
    }

    #[test]
    fn with_variance_of_one_methods_seeds_alone_errors_have_a_t_distribution() {
        // scipy.stats.t.ppf(0.975, degrees) and ppf(0.9975, degrees), times a deviation of 0.01.
        for (degrees, level, expected) in [
            (1, 0.05, 12.706_204_736_174_694),
            (4, 0.05, 2.776_445_105_197_793_4),
            (4, 0.005, 5.597_568_367_075_492),
            (19, 0.05, 2.093_024_054_408_308_7),
            (399, 0.05, 1.965_927_295_920_882),
        ] {
            let quantile = errors(0.0, 1e-4, degrees + 1).quantile(level);
            let error = (quantile / (0.01 * expected) - 1.0).abs();
            assert!(error < 1e-6, "{degrees}: {quantile}");
        }
    }

    #[test]
    fn without_variance_of_seeds_errors_have_a_normal_distribution() {
        for seeds in [1, 5] {
            let quantile = errors(1e-4, 0.0, seeds).quantile(0.05);
            assert!((quantile - 0.019_599_639_845).abs() < 1e-8, "{quantile}");
        }
    }
}
