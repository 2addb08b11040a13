//! Which of several methods are better than which others.

use super::difference::Difference;
use super::exact::{holm, mcnemar, sign_flip};
use super::more::Wanted;
use super::outcomes::Outcomes;
use super::verdict::{LEVEL, MIN_SEEDS, Reason, Verdict};
use crate::error::EvaluationError;

/// Two methods of a comparison, compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Index of the first method.
    pub first: usize,
    /// Index of the second method, which is larger.
    pub second: usize,
    /// The difference of their mean accuracies, first minus second; `None` if there is nothing to
    /// compare.
    pub difference: Option<Difference>,
    /// The p-value of the difference over images and seeds, after [Holm's correction](holm) for all
    /// pairs that have one and [`MIN_SEEDS`] seeds; `None` for other pairs.
    pub adjusted_p_value: Option<f64>,
    /// [McNemar's exact test](mcnemar) if both methods have exactly one seed.
    pub mcnemar: Option<f64>,
    /// The [sign-flip test](sign_flip) over the differences of the seeds if both methods have equally
    /// many, and more than one.
    pub sign_flip: Option<f64>,
    /// Which method is better.
    pub verdict: Verdict,
    /// How many more test images would probably show a difference of the observed size; `None` if it
    /// is shown, if not even ten million images would, because seeds scatter too much or are fewer
    /// than [`MIN_SEEDS`], or if the difference is 0.
    ///
    /// An estimate: it takes difference and variances to be as observed, asks for a probability of
    /// 80 %, and for a p-value that Holm's correction accepts in any place of the order
    /// ([`LEVEL`] divided by the number of pairs).
    pub more_images: Option<usize>,
    /// The same for seeds of each method; `None` if it is shown, if not even a thousand seeds would,
    /// because the images are too few, if a method has one seed, so that nothing is known of their
    /// spread, or if the difference is 0.
    pub more_seeds: Option<usize>,
}

/// Compares all pairs of `methods` and decides by one rule.
///
/// **Rule.** A method is better than another if both have at least [`MIN_SEEDS`] seeds and the
/// p-value of their [`Difference`] over images and seeds, after [Holm's correction](holm) for all such
/// pairs, is at most [`LEVEL`]. If all methods are equally good, none is called better in at least
/// 95 % of comparisons, however many methods there are.
///
/// The exact tests stand beside the rule and do not decide. The sign-flip test cannot decide: its
/// p-value over five seeds is at least 2/32, so that it would never find anything; it also takes the
/// test images as given, so that it finds differences that other images would not show. McNemar's test
/// takes the models as given and says nothing of other seeds.
///
/// The pairs are in the order (0, 1), (0, 2), …, (1, 2), ….
///
/// ```
/// use finetune_evaluation::{Outcomes, Reason, Verdict, compare};
///
/// // Three seeds on 100 images, of which the first 95, 70 and 69 are classified correctly.
/// let method = |correct: usize| {
///     Outcomes::new(vec![(0..100).map(|image| image < correct).collect(); 3])
/// };
/// let pairs = compare(&[method(95)?, method(70)?, method(69)?])?;
/// assert_eq!(pairs[0].verdict, Verdict::First);
/// assert_eq!(pairs[2].verdict, Verdict::NotShown(Reason::Small));
/// # Ok::<(), finetune_evaluation::EvaluationError>(())
/// ```
///
/// # Errors
///
/// [`EvaluationError::Outcomes`] if methods have different numbers of images.
pub fn compare(methods: &[Outcomes]) -> Result<Vec<Pair>, EvaluationError> {
    let mut pairs = Vec::new();
    for (first, one) in methods.iter().enumerate() {
        for (second, other) in methods.iter().enumerate().skip(first + 1) {
            pairs.push(Pair {
                first,
                second,
                difference: Difference::between(one, other)?,
                adjusted_p_value: None,
                mcnemar: of_one_seed(one, other),
                sign_flip: of_several_seeds(one, other),
                verdict: Verdict::NotShown(Reason::Nothing),
                more_images: None,
                more_seeds: None,
            });
        }
    }
    let fewest = |pair: &Pair| {
        methods[pair.first]
            .seeds()
            .min(methods[pair.second].seeds())
    };
    let decides = |pair: &Pair| {
        let p_value = pair.difference.and_then(|difference| difference.p_value);
        p_value.filter(|_| fewest(pair) >= MIN_SEEDS)
    };
    let p_values: Vec<f64> = pairs.iter().filter_map(decides).collect();
    let mut adjusted = holm(&p_values).into_iter();
    let tests = f64::from(u32::try_from(p_values.len().max(1)).unwrap_or(u32::MAX));
    for pair in &mut pairs {
        let Some(difference) = pair.difference else {
            continue;
        };
        if decides(pair).is_some() {
            pair.adjusted_p_value = adjusted.next();
        }
        pair.verdict = verdict(&difference, pair.adjusted_p_value);
        if matches!(pair.verdict, Verdict::NotShown(_)) {
            let wanted = Wanted {
                difference: difference.value.abs(),
                level: LEVEL / tests,
                variance: difference.variance,
            };
            pair.more_images = wanted.images(methods[pair.first].images());
            pair.more_seeds = wanted.seeds();
        }
    }
    Ok(pairs)
}

fn verdict(difference: &Difference, adjusted: Option<f64>) -> Verdict {
    match adjusted {
        None => Verdict::NotShown(Reason::FewSeeds),
        Some(p) if p > LEVEL => Verdict::NotShown(Reason::Small),
        Some(_) if difference.value > 0.0 => Verdict::First,
        Some(_) => Verdict::Second,
    }
}

/// McNemar's test of two methods with one seed each.
fn of_one_seed(first: &Outcomes, second: &Outcomes) -> Option<f64> {
    let ([first], [second]) = (first.correct(), second.correct()) else {
        return None;
    };
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    (!first.is_empty()).then(|| mcnemar(only(first, second), only(second, first)))
}

/// The sign-flip test over the seeds' differences in correctly classified images.
fn of_several_seeds(first: &Outcomes, second: &Outcomes) -> Option<f64> {
    let counts = |outcomes: &Outcomes| {
        let counts = outcomes.counts().into_iter();
        counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    };
    let differences: Vec<i64> = counts(first)
        .zip(counts(second))
        .map(|(a, b)| a - b)
        .collect();
    let paired = first.seeds() == second.seeds() && first.seeds() > 1 && first.images() > 0;
    paired.then(|| sign_flip(&differences))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seeds` seeds that classify the first `correct` of 1000 images correctly, but the one that
    /// belongs to the seed.
    fn method(seeds: usize, correct: usize) -> Outcomes {
        let seed = |seed| (0..1000).map(move |image| image < correct && image != seed);
        Outcomes::new((0..seeds).map(|s| seed(s).collect()).collect()).unwrap()
    }

    #[test]
    fn a_clear_difference_is_shown_and_a_small_one_is_not() {
        let pairs = compare(&[method(5, 900), method(5, 850), method(5, 848)]).unwrap();
        let verdicts: Vec<_> = pairs.iter().map(|pair| pair.verdict).collect();
        let small = Verdict::NotShown(Reason::Small);
        assert_eq!(verdicts, [Verdict::First, Verdict::First, small]);
        assert!(
            pairs[0]
                .sign_flip
                .is_some_and(|p| (p - 2.0 / 32.0).abs() < 1e-12)
        );
        assert_eq!((pairs[0].more_images, pairs[0].more_seeds), (None, None));
        assert!(pairs[2].more_images.unwrap() > 1000 && pairs[2].more_seeds.is_none());
        let turned = compare(&[method(5, 850), method(5, 900)]).unwrap();
        assert_eq!(turned[0].verdict, Verdict::Second);
    }

    #[test]
    fn few_seeds_decide_nothing() {
        for seeds in 1..MIN_SEEDS {
            let pair = compare(&[method(seeds, 900), method(5, 500)]).unwrap()[0];
            assert_eq!(pair.verdict, Verdict::NotShown(Reason::FewSeeds));
            assert!(pair.difference.unwrap().low > 0.3);
            assert_eq!((pair.adjusted_p_value, pair.more_images), (None, None));
            assert_eq!(pair.more_seeds, (seeds == 2).then_some(1));
        }
        let pair = compare(&[method(1, 900), method(1, 500)]).unwrap()[0];
        assert!(pair.mcnemar.unwrap() < 1e-100 && pair.sign_flip.is_none());
    }

    #[test]
    fn undecidable_pairs_do_not_weaken_the_others() {
        let alone = compare(&[method(5, 900), method(5, 870)]).unwrap()[0];
        let beside = compare(&[method(5, 900), method(5, 870), method(1, 900)]).unwrap();
        assert_eq!(alone.adjusted_p_value, beside[0].adjusted_p_value);
    }

    #[test]
    fn nothing_is_said_without_images_or_seeds() {
        let none = Outcomes::new(Vec::new()).unwrap();
        let empty = Outcomes::new(vec![Vec::new(); 5]).unwrap();
        for methods in [
            [none.clone(), method(5, 900)],
            [empty.clone(), empty.clone()],
        ] {
            let pair = compare(&methods).unwrap()[0];
            assert_eq!(pair.verdict, Verdict::NotShown(Reason::Nothing));
            assert_eq!(
                (pair.difference, pair.mcnemar, pair.sign_flip),
                (None, None, None)
            );
        }
        assert!(compare(&[empty, method(5, 900)]).is_err());
        assert!(compare(&[none]).unwrap().is_empty());
    }
}
