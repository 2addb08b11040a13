//! Images that have something in common: those of one animal, patient or burst. If some of them train
//! and others test, the test is too easy.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rand::seq::SliceRandom;
use regex::Regex;

use super::set::{ImageSet, Sample};
use super::source::Source;
use crate::error::DataError;
use crate::random::rng;

/// Sets the group of each image whose file name matches a pattern: what the first group of the pattern
/// in parentheses matches, or the whole match. Returns the number of images that match.
///
/// # Errors
///
/// [`DataError::Pattern`] if it is no regular expression.
pub(super) fn group_by(set: &mut ImageSet, pattern: &str) -> Result<usize, DataError> {
    let regex = Regex::new(pattern).map_err(|error| DataError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })?;
    let mut known: HashSet<Arc<str>> = HashSet::new();
    let mut matches = 0;
    for sample in &mut set.samples {
        let name = file_name(&sample.source);
        let Some(found) = regex.captures(&name) else {
            continue;
        };
        let Some(text) = found.get(1).or_else(|| found.get(0)) else {
            continue;
        };
        matches += 1;
        // Images share the text of their group.
        let group = match known.get(text.as_str()) {
            Some(group) => Arc::clone(group),
            None => Arc::from(text.as_str()),
        };
        known.insert(Arc::clone(&group));
        sample.group = Some(group);
    }
    Ok(matches)
}

fn file_name(source: &Source) -> String {
    let name = source.name();
    let last = Path::new(&name).file_name();
    last.map_or(name.clone(), |last| last.to_string_lossy().into_owned())
}

/// Number of groups of a set; images of no group are not counted.
pub(super) fn count(set: &ImageSet) -> usize {
    let groups = set
        .samples
        .iter()
        .filter_map(|sample| sample.group.as_ref());
    groups.collect::<HashSet<_>>().len()
}

/// Number of groups of each class; an image of no group counts as one.
pub(super) fn per_class(set: &ImageSet) -> Vec<usize> {
    let mut groups = vec![HashSet::new(); set.classes.len()];
    let mut single = vec![0; set.classes.len()];
    for sample in &set.samples {
        match &sample.group {
            Some(group) => {
                groups[sample.label].insert(group);
            }
            None => single[sample.label] += 1,
        }
    }
    let groups = groups.iter().zip(single);
    groups
        .map(|(groups, single)| groups.len() + single)
        .collect()
}

/// Number of images of a set that are of a group of another one.
pub(super) fn shared(set: &ImageSet, other: &ImageSet) -> usize {
    let others: HashSet<&Arc<str>> = other
        .samples
        .iter()
        .filter_map(|sample| sample.group.as_ref())
        .collect();
    let groups = set
        .samples
        .iter()
        .filter_map(|sample| sample.group.as_ref());
    groups.filter(|group| others.contains(group)).count()
}

/// Deals images to sides, each of which gets about its share of every class; images of a group go to
/// the same side. Returns the index of each image's side.
///
/// Groups are dealt one after the other, in random order and the large ones first, to the side that
/// is then nearest to its share: the least sum of squares, over classes, of how far a side is from its
/// number of images of the class, relative to the size of the class. This is how scikit-learn's
/// `StratifiedGroupKFold` proceeds, for shares that may differ.
#[allow(clippy::cast_precision_loss)]
pub(super) fn deal(samples: &[Sample], shares: &[f64], seed: u64) -> Vec<usize> {
    let classes = samples.iter().map(|sample| sample.label + 1).max();
    let mut total = vec![0.0_f64; classes.unwrap_or(0)];
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut of_group: HashMap<&str, usize> = HashMap::new();
    for (index, sample) in samples.iter().enumerate() {
        total[sample.label] += 1.0;
        let next = units.len();
        let unit = match sample.group.as_deref() {
            Some(group) => *of_group.entry(group).or_insert(next),
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
    let mut sides = vec![0; samples.len()];
    for unit in units {
        let mut counts: Vec<(usize, f64)> = Vec::new();
        for index in &unit {
            let label = samples[*index].label;
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

    /// A set of images with these labels and groups.
    fn set(images: &[(usize, Option<usize>)]) -> Vec<Sample> {
        let samples = images.iter().enumerate().map(|(index, (label, group))| {
            let source = Source::Memory {
                name: format!("{index}.png"),
                bytes: &[],
            };
            Sample {
                group: group.map(|group| format!("animal {group}").into()),
                ..Sample::new(source, *label)
            }
        });
        samples.collect()
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
            let samples = set(&images);
            let shares = vec![1.0 / sides as f64; sides];
            let dealt = deal(&samples, &shares, seed);
            let mut side_of: HashMap<usize, usize> = HashMap::new();
            for ((_, group), side) in images.iter().zip(&dealt) {
                prop_assert!(*side < sides);
                prop_assert_eq!(*side_of.entry(group.unwrap()).or_insert(*side), *side);
            }
            // No group has more than five images.
            for label in 0..3 {
                let of = |side: usize| {
                    images.iter().zip(&dealt).filter(|(image, dealt)| image.0 == label && **dealt == side).count()
                };
                let counts: Vec<usize> = (0..sides).map(of).collect();
                let apart = counts.iter().max().unwrap() - counts.iter().min().unwrap();
                prop_assert!(apart <= 5, "{counts:?}");
            }
            prop_assert_eq!(deal(&samples, &shares, seed), dealt);
        }
    }

    #[test]
    fn unequal_shares_are_met() {
        // 100 groups of two images of two classes.
        let images: Vec<_> = (0..200)
            .map(|image| (image % 4 / 2, Some(image / 2)))
            .collect();
        let dealt = deal(&set(&images), &[0.9, 0.1], 3);
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
        let dealt = deal(&set(&images), &[0.8, 0.2], 0);
        for group in dealt.chunks(6) {
            assert!(group.iter().all(|side| *side == group[0]));
        }
        assert_eq!(dealt.iter().filter(|side| **side == 1).count(), 12);
    }

    #[test]
    fn patterns_take_the_part_in_parentheses_or_the_whole_match() {
        let named = |names: &[&str]| ImageSet {
            classes: vec!["any".to_owned()],
            samples: names
                .iter()
                .map(|name| Sample::new(Source::File(Path::new("2024/a").join(name)), 0))
                .collect(),
        };
        let names = ["cow7_1.jpg", "cow7_2.jpg", "cow12_1.jpg", "other.jpg"];
        let groups = |pattern: &str| {
            let mut set = named(&names);
            let matches = group_by(&mut set, pattern).unwrap();
            let groups = set.samples.iter().map(|sample| sample.group.clone());
            let groups: Vec<_> = groups
                .map(|group| group.map(|group| group.to_string()))
                .collect();
            (matches, groups)
        };
        let some = |text: &str| Some(text.to_owned());
        let (matches, found) = groups(r"cow(\d+)_");
        assert_eq!(
            (matches, found),
            (3, vec![some("7"), some("7"), some("12"), None])
        );
        let (_, found) = groups(r"^[a-z]+\d+");
        assert_eq!(found, [some("cow7"), some("cow7"), some("cow12"), None]);
        // Folders are not looked at.
        assert_eq!(groups("2024").0, 0);
        assert!(group_by(&mut named(&names), "(").is_err());
    }
}
