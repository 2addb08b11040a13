//! The difference of two methods, with its interval over test images and seeds.

use super::outcomes::Outcomes;
use super::variance::{Variance, estimate};
use crate::error::EvaluationError;

/// The difference of the mean accuracies of two methods, with its 95 % interval.
///
/// **Model.** The outcome of seed `s` on image `i` has an effect of the seed, one of the image and a
/// rest, per method: seeds and images are crossed random effects. The difference estimates what other
/// seeds would give on other images of the same kind. Its variance is the sum of `σ²_images / N` and,
/// for each method, `σ²_seeds / S` and `σ²_rest / (S·N)`, with `S` seeds and `N` images. The parts are
/// estimated by the mean squares of a two-way analysis of variance (Searle, Casella and McCulloch,
/// *Variance Components*, 1992, section 4.3); that of the images from the differences image by image,
/// so that what both methods find hard cancels.
///
/// **Interval.** The images are many: their part counts as known and its error as normal. The seeds are
/// few: the error of `σ²_seeds / S + σ²_rest / (S·N)`, summed over both methods, has a t distribution
/// with the degrees of freedom of Welch (*The generalization of "Student's" problem when several
/// different population variances are involved*, Biometrika 34 (1947), pages 28–35). The interval is
/// that of the sum of both errors, as in the problem of Behrens and Fisher (Fisher, *The comparison of
/// samples with possibly unequal variances*, Annals of Eugenics 9 (1939), pages 174–180).
///
/// A percentile bootstrap over seeds and images has no t distribution, and of the variance over five
/// seeds it finds 4/5. One t distribution for the whole sum, with degrees of freedom after
/// Satterthwaite, suffices at 95 %; but far out in the tail, where several pairs are decided, it is
/// deceived by seeds that agree by chance: in simulations, one of five equal methods was "better" in up
/// to 9 % of the comparisons. `crates/evaluation/tests/simulation.rs` measures this interval's coverage.
///
/// **Few discordant images.** Two images are added, one in favour of each method, that differ as much
/// as the images on which the methods differ do on average. With one seed this is the interval of
/// Bonett and Price, *Adjusted Wald confidence interval for a difference of binomial proportions based
/// on paired data*, Journal of Educational and Behavioral Statistics 37 (2012), pages 479–488. So two
/// methods with equal outcomes have an interval of about ±2.8 images, not one of no width, and 100 %
/// is no certainty. The centre of the interval is a little nearer to 0 than the difference itself.
///
/// **One seed.** If a method has one seed, the spread over its seeds is not known: the interval holds
/// for these very models on other images, [`over_seeds`](Self::over_seeds) is false, and there is no
/// p-value.
///
/// **Seeds are not paired**, although runs of the same seed share the order of batches and the
/// initialisation of the head. What this gives two methods in common makes the interval a little wider
/// than needed (in simulations with a correlation of 0.3, it contains the difference in up to 98 % of the
/// cases). Differences of pairs would have half the degrees of freedom instead, which costs more: of
/// differences of 4 points on 1000 images, with five seeds that scatter by one point, pairs found 56 to
/// 69 % after Holm's correction for ten tests, and this interval 81 %. So the methods may also have
/// different numbers of seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Mean accuracy of the first method minus that of the second.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// The two-sided p-value of the hypothesis that the methods are equally good, over images and
    /// seeds: less than 0.05 if the interval does not contain 0. `None` if a method has one seed.
    pub p_value: Option<f64>,
    /// Whether interval and p-value are over seeds as well as images: both methods have at least two
    /// seeds.
    pub over_seeds: bool,
    pub(crate) variance: Variance,
}

impl Difference {
    /// Compares two methods; `None` if a method has no seeds or there are no test images, so that there
    /// is nothing to compare.
    ///
    /// # Errors
    ///
    /// [`EvaluationError::Outcomes`] if the methods have different numbers of images.
    pub fn between(first: &Outcomes, second: &Outcomes) -> Result<Option<Self>, EvaluationError> {
        if first.seeds() == 0 || second.seeds() == 0 {
            return Ok(None);
        }
        let (expected, found) = (first.images(), second.images());
        if expected != found {
            return Err(EvaluationError::Outcomes { expected, found });
        }
        Ok((expected > 0).then(|| Self::of(first, second)))
    }

    fn of(first: &Outcomes, second: &Outcomes) -> Self {
        let estimate = estimate(first, second);
        let errors = estimate.variance.errors();
        let half = errors.quantile(0.05);
        let over_seeds = estimate.variance.fewest_seeds() > 1;
        Self {
            value: estimate.value,
            low: (estimate.centre - half).max(-1.0),
            high: (estimate.centre + half).min(1.0),
            p_value: over_seeds.then(|| errors.two_sided(estimate.centre.abs())),
            over_seeds,
            variance: estimate.variance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One seed, by a text of `1` (correct) and `0`.
    fn seed(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == '1').collect()
    }

    fn between(first: &[&str], second: &[&str]) -> Difference {
        let outcomes =
            |texts: &[&str]| Outcomes::new(texts.iter().map(|text| seed(text)).collect()).unwrap();
        Difference::between(&outcomes(first), &outcomes(second))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn one_seed_gives_the_interval_of_bonett_and_price() {
        // 3 images favour the first method and 1 the second, of 10: p₁ = 4/12, p₂ = 2/12, and
        // 2/12 ± 1.96 · sqrt((6/12 − (2/12)²) / 12).
        let difference = between(&["1110111111"], &["0001111111"]);
        let half = 1.959_963_984_540_054 * ((0.5 - 1.0 / 36.0) / 12.0_f64).sqrt();
        assert!((difference.value - 0.2).abs() < 1e-12);
        assert!((difference.low - (1.0 / 6.0 - half)).abs() < 1e-9);
        assert!((difference.high - (1.0 / 6.0 + half)).abs() < 1e-9);
        assert!(!difference.over_seeds && difference.p_value.is_none());
    }

    #[test]
    fn equal_outcomes_are_no_certainty() {
        for seeds in 1..6 {
            let all = vec!["1".repeat(100); seeds];
            let all: Vec<_> = all.iter().map(String::as_str).collect();
            let difference = between(&all, &all);
            assert_eq!(difference.value.to_bits(), 0.0_f64.to_bits());
            assert!(
                difference.low < -0.025 && difference.high > 0.025,
                "{difference:?}"
            );
            assert!(difference.p_value.is_none_or(|p| p > 0.99));
        }
    }

    #[test]
    fn one_image_shows_nothing() {
        let difference = between(&["1", "1", "1", "1", "1"], &["0", "0", "0", "0", "0"]);
        assert!((difference.value - 1.0).abs() < 1e-12);
        assert!(difference.low < 0.0 && difference.high <= 1.0);
        assert!(difference.p_value.unwrap() > 0.05);
    }

    #[test]
    fn seeds_that_scatter_widen_the_interval() {
        let second = "1".repeat(50) + &"0".repeat(50);
        let first = |correct: usize| "1".repeat(correct) + &"0".repeat(100 - correct);
        let of = |counts: [usize; 3]| {
            let texts = counts.map(first);
            between(&texts.each_ref().map(String::as_str), &[second.as_str(); 3])
        };
        let (steady, scattered) = (of([60, 60, 60]), of([50, 60, 70]));
        assert!((steady.value - scattered.value).abs() < 1e-12);
        assert!(steady.low > 0.0 && scattered.low < 0.0);
        assert!(steady.p_value.unwrap() < 0.05 && scattered.p_value.unwrap() > 0.05);
    }

    #[test]
    fn methods_may_have_different_numbers_of_seeds() {
        let difference = between(&["1111011110", "1111111110"], &["1011011100"; 4]);
        assert!(difference.over_seeds && difference.low < difference.high);
        let one = between(&["1111011110"], &["1011011100"; 4]);
        assert!(!one.over_seeds && one.low < one.high);
    }

    #[test]
    fn nothing_is_compared_without_images_or_seeds() {
        let none = Outcomes::new(Vec::new()).unwrap();
        let empty = Outcomes::new(vec![Vec::new()]).unwrap();
        let one = Outcomes::new(vec![vec![true]]).unwrap();
        assert!(Difference::between(&none, &one).unwrap().is_none());
        assert!(Difference::between(&empty, &empty).unwrap().is_none());
        assert!(Difference::between(&empty, &one).is_err());
    }
}
