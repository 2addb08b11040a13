//! The order of the images of an epoch.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::random::rng;

/// The order of images in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order of the set, for testing. Nothing random happens to the images.
    Sequential,
    /// Shuffled (Fisher and Yates), differently in each epoch; [`Sampling`] says which images.
    Shuffled {
        /// Seed of the order and of the augmentation.
        seed: u64,
        /// Number of the epoch.
        epoch: usize,
    },
}

/// How the images of an epoch are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Each image once.
    #[default]
    Shuffled,
    /// The same number of images of each class, in an epoch of the same length. Each epoch takes other
    /// images of a large class, and images of a small class come several times.
    Balanced,
}

impl Order {
    /// Seed and number of the epoch; `None` if nothing is random.
    pub(crate) fn random(self) -> Option<(u64, usize)> {
        match self {
            Self::Sequential => None,
            Self::Shuffled { seed, epoch } => Some((seed, epoch)),
        }
    }

    /// Indices of the images of the epoch, in order, for images with these labels.
    pub(crate) fn indices(self, labels: &[usize], sampling: Sampling) -> Vec<usize> {
        let all = (0..labels.len()).collect();
        let Self::Shuffled { seed, epoch } = self else {
            return all;
        };
        let mut indices = match sampling {
            Sampling::Shuffled => all,
            Sampling::Balanced => balanced(labels, seed, epoch),
        };
        indices.shuffle(&mut rng(seed, epoch as u64));
        indices
    }
}

/// The images of a balanced epoch, class by class.
fn balanced(labels: &[usize], seed: u64, epoch: usize) -> Vec<usize> {
    let count = labels.iter().max().map_or(0, |most| most + 1);
    let mut classes = vec![Vec::new(); count];
    for (index, label) in labels.iter().enumerate() {
        classes[*label].push(index);
    }
    classes.retain(|class| !class.is_empty());
    let mut random = rng(seed, 1 << 62 | epoch as u64);
    let mut shares = vec![labels.len() / classes.len().max(1); classes.len()];
    // Random classes get one image more if the number does not divide evenly.
    let mut extra: Vec<usize> = (0..classes.len()).collect();
    extra.shuffle(&mut random);
    for class in &extra[..labels.len() % classes.len().max(1)] {
        shares[*class] += 1;
    }
    let mut chosen = Vec::with_capacity(labels.len());
    for (class, share) in classes.iter_mut().zip(shares) {
        for taken in 0..share {
            // All images of a class come before one comes again.
            if taken % class.len() == 0 {
                class.shuffle(&mut random);
            }
            chosen.push(class[taken % class.len()]);
        }
    }
    chosen
}

/// For each position of an epoch, how often its image came before.
pub(crate) fn repeats(indices: &[usize]) -> Vec<u32> {
    let mut seen = vec![0; indices.iter().max().map_or(0, |most| most + 1)];
    let count = |index: &usize| {
        seen[*index] += 1;
        seen[*index] - 1
    };
    indices.iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_image_occurs_once_and_the_order_differs_between_epochs() {
        let order =
            |epoch| Order::Shuffled { seed: 1, epoch }.indices(&[0; 20], Sampling::Shuffled);
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), order(1));
    }

    #[test]
    fn repeats_counts_the_earlier_occurrences() {
        assert_eq!(repeats(&[2, 0, 2, 2, 0]), [0, 0, 1, 2, 1]);
    }

    proptest! {
        #[test]
        fn a_balanced_epoch_has_the_same_length_and_even_classes(
            sizes in prop::collection::vec(1_usize..30, 1..6),
            seed: u64,
            epoch in 0_usize..100,
        ) {
            let labels: Vec<usize> = sizes
                .iter()
                .enumerate()
                .flat_map(|(label, size)| vec![label; *size])
                .collect();
            let of = |sampling| Order::Shuffled { seed, epoch }.indices(&labels, sampling);
            let indices = of(Sampling::Balanced);
            prop_assert_eq!(indices.len(), labels.len());
            let share = labels.len() / sizes.len();
            for (label, size) in sizes.iter().enumerate() {
                let of_class: Vec<usize> = (0..labels.len())
                    .filter(|index| labels[*index] == label)
                    .map(|index| indices.iter().filter(|seen| **seen == index).count())
                    .collect();
                let count: usize = of_class.iter().sum();
                prop_assert!(count == share || count == share + 1);
                // The images of a class occur equally often.
                let (least, most) = (count / size, count.div_ceil(*size));
                prop_assert!(of_class.iter().all(|seen| (least..=most).contains(seen)));
            }
            prop_assert_eq!(&of(Sampling::Balanced), &indices);
        }
    }
}
