//! Labelled images that are not decoded yet, and choosing among them.

use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::deal::deal;
use super::source::Source;
use crate::error::DataError;
use crate::random::rng;

/// An image and its label.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where the image comes from.
    pub source: Source,
    /// Index of its class.
    pub label: usize,
    /// What it has in common with other images, if that is known: the animal, the patient, the burst.
    /// Splitting keeps a group together.
    pub group: Option<Arc<str>>,
}

impl Sample {
    /// An image of no group.
    #[must_use]
    pub fn new(source: Source, label: usize) -> Self {
        Self {
            source,
            label,
            group: None,
        }
    }
}

/// One of several folds of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Number of the fold, from 1.
    pub index: usize,
    /// Number of folds, 2 or more.
    pub of: usize,
}

impl Fold {
    /// Checks that there are two folds or more and that this is one of them.
    pub(crate) fn check(self) -> Result<(), DataError> {
        if self.of >= 2 && (1..=self.of).contains(&self.index) {
            Ok(())
        } else {
            Err(DataError::NoSuchFold {
                index: self.index,
                of: self.of,
            })
        }
    }
}

/// Labelled images that are not decoded yet.
#[derive(Debug, Clone, Default)]
pub struct ImageSet {
    /// Names of the classes. A label is an index into them.
    pub classes: Vec<String>,
    /// The images.
    pub samples: Vec<Sample>,
}

impl ImageSet {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Number of images per class.
    #[must_use]
    pub fn per_class(&self) -> Vec<usize> {
        self.by_class().iter().map(Vec::len).collect()
    }

    /// Chooses `count` images per class, or all images of a class that has fewer.
    ///
    /// The choice depends on `seed` alone, and the chosen images stay in order. With the same seed, a
    /// larger count chooses all images that a smaller one chooses.
    #[must_use]
    pub fn take_per_class(&self, count: usize, seed: u64) -> Self {
        self.choose(|class| class.len().min(count), seed).0
    }

    /// Splits each class: returns the images that stay, and those that are held out, a share of
    /// `fraction`.
    ///
    /// If a class has two images or more, each side gets at least one of them. With groups, the shares
    /// are as near to `fraction` as whole groups permit, and a class of few groups may be on one side
    /// only.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn split(&self, fraction: f64, seed: u64) -> (Self, Self) {
        if self.has_groups() {
            let side = deal(self.labelled(), &[1.0 - fraction, fraction], seed);
            let chosen: Vec<bool> = side.into_iter().map(|side| side == 1).collect();
            let (held_out, rest) = self.divide(&chosen);
            return (rest, held_out);
        }
        let held_out = |class: &[usize]| match class.len() {
            0 | 1 => 0,
            count => ((count as f64 * fraction).round() as usize).clamp(1, count - 1),
        };
        let (held_out, rest) = self.choose(held_out, seed);
        (rest, held_out)
    }

    /// Returns the images of all other folds, and those of one fold.
    ///
    /// Each class is shuffled by `seed` and dealt to the folds in turn, so that each image is in exactly
    /// one fold and the numbers of images of a class differ by at most one between folds.
    /// If there is no such fold, no image is held out. Images of a group are all in the same fold, and
    /// the folds are as equal as that permits.
    #[must_use]
    pub fn fold(&self, fold: Fold, seed: u64) -> (Self, Self) {
        if self.has_groups() {
            #[allow(clippy::cast_precision_loss)]
            let shares = vec![1.0 / fold.of.max(1) as f64; fold.of.max(1)];
            let dealt = deal(self.labelled(), &shares, seed).into_iter();
            let chosen: Vec<bool> = dealt.map(|dealt| dealt + 1 == fold.index).collect();
            let (held_out, rest) = self.divide(&chosen);
            return (rest, held_out);
        }
        let mut chosen = vec![false; self.len()];
        let mut dealt = 0;
        for (label, mut class) in self.by_class().into_iter().enumerate() {
            class.shuffle(&mut rng(seed, label as u64));
            // Each class continues where the one before ended, so that the folds have equal sizes.
            for index in class {
                chosen[index] = dealt % fold.of.max(1) + 1 == fold.index;
                dealt += 1;
            }
        }
        let (held_out, rest) = self.divide(&chosen);
        (rest, held_out)
    }

    /// Class and group of each image.
    fn labelled(&self) -> impl Iterator<Item = (usize, Option<&str>)> {
        let samples = self.samples.iter();
        samples.map(|sample| (sample.label, sample.group.as_deref()))
    }

    /// Whether some images are of a group.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.samples.iter().any(|sample| sample.group.is_some())
    }

    /// Returns the chosen images and the others.
    fn choose(&self, count: impl Fn(&[usize]) -> usize, seed: u64) -> (Self, Self) {
        let mut chosen = vec![false; self.len()];
        for (label, mut class) in self.by_class().into_iter().enumerate() {
            let count = count(&class);
            class.shuffle(&mut rng(seed, label as u64));
            for index in &class[..count] {
                chosen[*index] = true;
            }
        }
        self.divide(&chosen)
    }

    fn divide(&self, chosen: &[bool]) -> (Self, Self) {
        let pick = |wanted: bool| Self {
            classes: self.classes.clone(),
            samples: self
                .samples
                .iter()
                .zip(chosen)
                .filter(|(_, chosen)| **chosen == wanted)
                .map(|(sample, _)| sample.clone())
                .collect(),
        };
        (pick(true), pick(false))
    }

    fn by_class(&self) -> Vec<Vec<usize>> {
        let mut classes = vec![Vec::new(); self.classes.len()];
        for (index, sample) in self.samples.iter().enumerate() {
            classes[sample.label].push(index);
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns a set whose samples all have different names.
    fn set(sizes: &[usize]) -> ImageSet {
        let mut samples = Vec::new();
        for (label, size) in sizes.iter().enumerate() {
            for i in 0..*size {
                let source = Source::Memory {
                    name: format!("{label}/{i}"),
                    bytes: &[],
                };
                samples.push(Sample::new(source, label));
            }
        }
        let classes = (0..sizes.len()).map(|label| label.to_string()).collect();
        ImageSet { classes, samples }
    }

    fn names(set: &ImageSet) -> Vec<String> {
        set.samples
            .iter()
            .map(|sample| sample.source.name())
            .collect()
    }

    proptest! {
        #[test]
        fn a_split_is_stratified_and_contains_every_image_once(
            sizes in prop::collection::vec(2_usize..30, 1..5),
            fraction in 0.0_f64..1.0,
            seed: u64,
        ) {
            let all = set(&sizes);
            let (rest, held_out) = all.split(fraction, seed);
            let mut together = [names(&rest), names(&held_out)].concat();
            together.sort();
            let mut wanted = names(&all);
            wanted.sort();
            prop_assert_eq!(together, wanted);
            for (size, held_out) in sizes.iter().zip(held_out.per_class()) {
                let exact = *size as f64 * fraction;
                prop_assert!((held_out as f64 - exact).abs() <= 1.0, "{held_out} of {size}");
                prop_assert!(held_out >= 1 && held_out < *size);
            }
            prop_assert_eq!(names(&all.split(fraction, seed).1), names(&held_out));
        }

        #[test]
        fn folds_are_stratified_and_contain_every_image_once(
            sizes in prop::collection::vec(2_usize..30, 1..5),
            of in 2_usize..6,
            seed: u64,
        ) {
            let all = set(&sizes);
            let mut together = Vec::new();
            for index in 1..=of {
                let (rest, fold) = all.fold(Fold { index, of }, seed);
                prop_assert_eq!(rest.len() + fold.len(), all.len());
                for (size, held_out) in sizes.iter().zip(fold.per_class()) {
                    prop_assert!((size / of..=size.div_ceil(of)).contains(&held_out));
                }
                prop_assert!((all.len() / of..=all.len().div_ceil(of)).contains(&fold.len()));
                let inside = names(&fold);
                prop_assert!(names(&rest).iter().all(|name| !inside.contains(name)));
                together.extend(inside);
            }
            together.sort();
            let mut wanted = names(&all);
            wanted.sort();
            prop_assert_eq!(together, wanted);
        }

        #[test]
        fn a_larger_count_selects_all_images_of_a_smaller_one(
            sizes in prop::collection::vec(1_usize..20, 1..4),
            few in 1_usize..10,
            seed: u64,
        ) {
            let all = set(&sizes);
            let (few_set, more_set) = (all.take_per_class(few, seed), all.take_per_class(few + 3, seed));
            for (size, taken) in sizes.iter().zip(few_set.per_class()) {
                prop_assert_eq!(taken, few.min(*size));
            }
            let more = names(&more_set);
            prop_assert!(names(&few_set).iter().all(|name| more.contains(name)));
        }
    }
}
