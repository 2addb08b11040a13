//! Dividing images of which some belong together.

use std::collections::HashMap;

use rand::seq::SliceRandom;

use crate::random::rng;

/// Deals images to sides, each of which gets about its share of every class; images of a group go to
/// the same side. An image is its class and its group. Returns the index of each image's side.
///
/// Groups are dealt one after the other, in random order and the large ones first, to the side that
/// is then nearest to its share: the least sum of squares, over classes, of how far a side is from its
/// number of images of the class, relative to the size of the class. This is how scikit-learn's
/// `StratifiedGroupKFold` proceeds, for shares that may differ.
#[allow(clippy::cast_precision_loss)]
pub(super) fn deal<'a>(
    images: impl Iterator<Item = (usize, Option<&'a str>)>,
    shares: &[f64],
    seed: u64,
) -> Vec<usize> {
    let images: Vec<(usize, Option<&str>)> = images.collect();
    let classes = images.iter().map(|(label, _)| label + 1).max();
    let mut total = vec![0.0_f64; classes.unwrap_or(0)];
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut of_group: HashMap<&str, usize> = HashMap::new();
    for (index, (label, group)) in images.iter().enumerate() {
        total[*label] += 1.0;
        let next = units.len();
        let unit = match group {
            Some(group) => *of_group.entry(*group).or_insert(next),
            None => next,
        };
        if unit == next {
            units.push(Vec::new());
        }
        units[unit].push(index);
    }
    units.shuffle(&mut rng(seed, 0));
    units.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    let mut dealt = vec![vec![0.0_f64; total.len()]; shares.len()];
    let mut sides = vec![0; images.len()];
    for unit in units {
        let mut counts: Vec<(usize, f64)> = Vec::new();
        for index in &unit {
            let (label, _) = images[*index];
            match counts.iter_mut().find(|(of, _)| *of == label) {
                Some((_, count)) => *count += 1.0,
                None => counts.push((label, 1.0)),
            }
        }
        let worse = |side: usize| -> f64 {
            let of_class = counts.iter().map(|(label, count)| {
                let (wanted, size) = (shares[side] * total[*label], total[*label]);
                let before = (dealt[side][*label] - wanted) / size;
                let after = (dealt[side][*label] + count - wanted) / size;
                // A side with a small share is as important as a large one.
                (after * after - before * before) / shares[side].max(1e-9)
            });
            of_class.sum()
        };
        let best = (0..shares.len()).min_by(|a, b| worse(*a).total_cmp(&worse(*b)));
        let best = best.unwrap_or(0);
        for (label, count) in counts {
            dealt[best][label] += count;
        }
        for index in unit {
            sides[index] = best;
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Deals images with these labels and groups.
    fn dealt(images: &[(usize, Option<usize>)], shares: &[f64], seed: u64) -> Vec<usize> {
        let names: Vec<Option<String>> = images
            .iter()
            .map(|(_, group)| group.map(|group| format!("animal {group}")))
            .collect();
        let images = images.iter().zip(&names);
        deal(
            images.map(|((label, _), name)| (*label, name.as_deref())),
            shares,
            seed,
        )
    }

    proptest! {
        #[test]
        fn a_group_is_never_divided_and_shares_are_near(
            sizes in prop::collection::vec((0_usize..3, 1_usize..6), 40..120),
            sides in 2_usize..6,
            seed: u64,
        ) {
            let mut images = Vec::new();
            for (group, (label, size)) in sizes.iter().enumerate() {
                images.extend(std::iter::repeat_n((*label, Some(group)), *size));
            }
            let shares = vec![1.0 / sides as f64; sides];
            let sides_of = dealt(&images, &shares, seed);
            let mut side_of: HashMap<usize, usize> = HashMap::new();
            for ((_, group), side) in images.iter().zip(&sides_of) {
                prop_assert!(*side < sides);
                prop_assert_eq!(*side_of.entry(group.unwrap()).or_insert(*side), *side);
            }
            // No group has more than five images.
            for label in 0..3 {
                let of = |side: usize| {
                    images.iter().zip(&sides_of).filter(|(image, dealt)| image.0 == label && **dealt == side).count()
                };
                let counts: Vec<usize> = (0..sides).map(of).collect();
                let apart = counts.iter().max().unwrap() - counts.iter().min().unwrap();
                prop_assert!(apart <= 5, "{counts:?}");
            }
            prop_assert_eq!(dealt(&images, &shares, seed), sides_of);
        }
    }

    #[test]
    fn unequal_shares_are_met() {
        // 100 groups of two images of two classes.
        let images: Vec<_> = (0..200)
            .map(|image| (image % 4 / 2, Some(image / 2)))
            .collect();
        let dealt = dealt(&images, &[0.9, 0.1], 3);
        for label in 0..2 {
            let of_class = images
                .iter()
                .zip(&dealt)
                .filter(|(image, _)| image.0 == label);
            assert_eq!(of_class.filter(|(_, side)| **side == 1).count(), 10);
        }
    }

    #[test]
    fn images_of_two_classes_may_be_of_one_group() {
        let images: Vec<_> = (0..60).map(|image| (image % 2, Some(image / 6))).collect();
        let dealt = dealt(&images, &[0.8, 0.2], 0);
        for group in dealt.chunks(6) {
            assert!(group.iter().all(|side| *side == group[0]));
        }
        assert_eq!(dealt.iter().filter(|side| **side == 1).count(), 12);
    }
}
