//! The difference of two methods, with its interval over test images and seeds.

use super::outcomes::Outcomes;
use super::variance::{Variance, estimate};
use crate::error::EvaluationError;

/// The difference of the mean accuracies of two methods, with its 95 % interval.
///
/// **Model.** The difference of the outcomes of seed `s` on image `i` is `μ + aₛ + bᵢ + eₛᵢ`: seeds and
/// images are crossed random effects, and `μ` is what other seeds would give on other images of the
/// same kind. The mean over `S` seeds and `N` images has the variance `σ²ₐ/S + σ²_b/N + σ²ₑ/(S·N)`,
/// whose parts are estimated by the mean squares of a two-way analysis of variance (Searle, Casella
/// and McCulloch, *Variance Components*, 1992, section 4.3).
///
/// **Interval.** The images are many, so that their part `σ²_b/N` counts as known and its error as
/// normal. The seeds are few: the error of their part, `σ²ₐ/S + σ²ₑ/(S·N)`, has a t distribution with
/// `S − 1` degrees of freedom. The interval is that of the sum of both, as in the problem of Behrens and
/// Fisher (Fisher, *The comparison of samples with possibly unequal variances*, Annals of Eugenics 9
/// (1939), pages 174–180). A percentile bootstrap over seeds and images covers too rarely: its
/// variance over five seeds is 4/5 of the estimate above, without a t distribution. Degrees of freedom after
/// Satterthwaite cover well at 95 %, but far out in the tail, where several pairs are decided, they are
/// deceived by seeds that agree by chance: in simulations, one of five equal methods was "better" in
/// up to 9 % of the comparisons.
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
/// **Pairs of seeds.** If both methods have equally many seeds, they are paired in their order: runs of
/// the same seed share the order of batches and the initialisation of the head, and what both have in
/// common then cancels. The pairs lose half the degrees of freedom but hold even if the runs have
/// nothing in common. If one method has more seeds, each method's spread is estimated by itself, and
/// the smaller number gives the degrees of freedom, which is cautious.
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
        let over_seeds = estimate.variance.degrees > 0;
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
    fn different_numbers_of_seeds_are_not_paired() {
        let difference = between(&["1111011110", "1111111110"], &["1011011100"; 4]);
        assert!(difference.over_seeds && difference.variance.degrees == 1);
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
