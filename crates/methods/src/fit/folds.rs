//! Folds of cross-validation.

use rand::seq::SliceRandom;

use super::examples::Examples;
use crate::random::rng;

/// The stream of the random numbers that shuffle images.
const STREAM: u64 = 0x666f_6c64;

/// The fold that holds each image out, of at most `wanted` folds; `None` for an image that is in the
/// training part of all of them. No folds if there is no class that two images show.
///
/// The images of each class are shuffled and dealt out one by one, so that folds have equally many of
/// each, give or take one, as scikit-learn's `StratifiedKFold`. The only image of its class is never held
/// out: nothing could be learnt about it from the others.
pub(crate) fn folds(examples: &Examples, wanted: usize, seed: u64) -> (usize, Vec<Option<usize>>) {
    let counts = examples.per_class();
    let most = counts.iter().copied().max().unwrap_or(0);
    let count = wanted.min(most);
    let mut assigned = vec![None; examples.len()];
    if count < 2 {
        return (0, assigned);
    }
    let mut rng = rng(seed, STREAM);
    let mut next = 0;
    for (class, images) in counts.iter().enumerate() {
        let mut of_class: Vec<usize> = (0..examples.len())
            .filter(|image| examples.labels[*image] == class)
            .collect();
        of_class.shuffle(&mut rng);
        if *images < 2 {
            continue;
        }
        for image in of_class {
            assigned[image] = Some(next % count);
            next += 1;
        }
    }
    (count, assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(labels: Vec<usize>) -> Examples {
        Examples {
            classes: labels.iter().max().unwrap() + 1,
            labels,
            ..Examples::default()
        }
    }

    #[test]
    fn every_class_is_dealt_evenly_and_folds_are_of_one_size() {
        let labels: Vec<usize> = [0; 13].into_iter().chain([1; 7]).chain([2; 4]).collect();
        let examples = examples(labels);
        let (count, folds) = folds(&examples, 5, 3);
        assert_eq!(count, 5);
        let held_out = |fold, class: Option<usize>| {
            let images = folds.iter().zip(&examples.labels);
            let images = images.filter(|(own, _)| **own == Some(fold));
            images
                .filter(|(_, label)| class.is_none_or(|class| class == **label))
                .count()
        };
        for (class, images) in examples.per_class().into_iter().enumerate() {
            for fold in 0..5 {
                let own = held_out(fold, Some(class));
                assert!(
                    (images / 5..=images.div_ceil(5)).contains(&own),
                    "{fold} {class} {own}"
                );
            }
        }
        let sizes: Vec<usize> = (0..5).map(|fold| held_out(fold, None)).collect();
        assert_eq!(sizes, [5, 5, 5, 5, 4]);
        assert_ne!(folds, super::folds(&examples, 5, 4).1);
        assert_eq!(folds, super::folds(&examples, 5, 3).1);
    }

    #[test]
    fn there_are_no_more_folds_than_images_and_the_only_image_of_a_class_is_never_held_out() {
        let (count, folds) = super::folds(&examples(vec![0, 1, 0, 0]), 5, 0);
        assert_eq!((count, folds[1]), (3, None));
        let mut others = [folds[0], folds[2], folds[3]];
        others.sort_unstable();
        assert_eq!(others, [Some(0), Some(1), Some(2)]);
        assert_eq!(
            super::folds(&examples(vec![0, 1, 2]), 5, 0),
            (0, vec![None; 3])
        );
    }
}
