//! Properties of statistics that hold for any outcomes.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use finetune_evaluation::{Difference, Outcomes, Verdict, compare, holm, mcnemar, sign_flip};

/// `correct[seed][image]` of up to five seeds, with any share of correct outcomes, all or none included.
fn correct(images: usize) -> impl Strategy<Value = Vec<Vec<bool>>> {
    (0.0..=1.0).prop_flat_map(move |share| vec(vec(prop::bool::weighted(share), images), 0..6))
}

/// Outcomes of two methods on the same number of images.
fn two() -> impl Strategy<Value = [Vec<Vec<bool>>; 2]> {
    (0_usize..30).prop_flat_map(|images| [correct(images), correct(images)])
}

fn outcomes(correct: &[Vec<bool>]) -> Outcomes {
    Outcomes::new(correct.to_vec()).unwrap()
}

fn probability(p: f64) -> bool {
    (0.0..=1.0).contains(&p)
}

/// The difference of two methods; `None` also if one of them has seeds without images.
fn difference(two: &[Vec<Vec<bool>>; 2]) -> Option<Difference> {
    let [first, second] = two.each_ref().map(|correct| outcomes(correct));
    Difference::between(&first, &second).unwrap()
}

proptest! {
    #[test]
    fn every_number_is_finite_and_in_order(two in two()) {
        if let Some(found) = difference(&two) {
            prop_assert!(-1.0 <= found.low && found.low < found.high && found.high <= 1.0);
            prop_assert!((found.low..=found.high).contains(&found.value), "{found:?}");
            prop_assert!(found.p_value.is_none_or(probability));
            let excluded = found.low > 0.0 || found.high < 0.0;
            if let Some(p) = found.p_value.filter(|p| (p - 0.05).abs() > 1e-4) {
                prop_assert_eq!(p < 0.05, excluded, "{:?}", found);
            }
        }
        let pair = compare(&two.each_ref().map(|correct| outcomes(correct))).unwrap()[0];
        for p in [pair.adjusted_p_value, pair.mcnemar, pair.sign_flip] {
            prop_assert!(p.is_none_or(probability));
        }
    }

    #[test]
    fn exchanged_methods_give_the_opposite(two in two()) {
        let [first, second] = two.clone();
        let turned = [second, first];
        match (difference(&two), difference(&turned)) {
            (Some(found), Some(turned)) => {
                prop_assert!((found.value + turned.value).abs() < 1e-12);
                prop_assert!((found.low + turned.high).abs() < 1e-6);
            }
            (found, turned) => prop_assert!(found.is_none() && turned.is_none()),
        }
        let verdict = |two: &[Vec<Vec<bool>>; 2]| {
            compare(&two.each_ref().map(|correct| outcomes(correct))).unwrap()[0].verdict
        };
        let opposite = match verdict(&two) {
            Verdict::First => Verdict::Second,
            Verdict::Second => Verdict::First,
            other @ Verdict::NotShown(_) => other,
        };
        prop_assert_eq!(verdict(&turned), opposite);
    }

    #[test]
    fn the_order_of_images_and_seeds_does_not_matter(two in two(), by in 0_usize..30) {
        let turned = two.clone().map(|mut correct| {
            for seed in &mut correct {
                let by = by % seed.len().max(1);
                seed.rotate_left(by);
            }
            correct.reverse();
            correct
        });
        if let (Some(found), Some(turned)) = (difference(&two), difference(&turned)) {
            prop_assert!((found.low - turned.low).abs() < 1e-6);
            prop_assert!((found.high - turned.high).abs() < 1e-6);
        }
    }

    #[test]
    fn exact_tests_do_not_depend_on_which_method_is_first(
        counts in (0_usize..300, 0_usize..300),
        differences in vec(-50_i64..50, 0..12),
    ) {
        let (p, turned) = (mcnemar(counts.0, counts.1), mcnemar(counts.1, counts.0));
        prop_assert!(probability(p) && (p - turned).abs() < 1e-15);
        let negative: Vec<i64> = differences.iter().map(|difference| -difference).collect();
        let (p, turned) = (sign_flip(&differences), sign_flip(&negative));
        prop_assert!(probability(p) && p > 0.0 && (p - turned).abs() < 1e-12);
    }

    #[test]
    fn holm_keeps_the_order_and_only_raises(p_values in vec(0.0_f64..=1.0, 0..12)) {
        let adjusted = holm(&p_values);
        for (i, p) in p_values.iter().enumerate() {
            prop_assert!(adjusted[i] >= *p && adjusted[i] <= 1.0);
            for (j, other) in p_values.iter().enumerate() {
                prop_assert!(p > other || adjusted[i] <= adjusted[j]);
            }
        }
    }
}
