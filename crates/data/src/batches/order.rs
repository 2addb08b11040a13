//! The order of the images of an epoch.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::random::rng;

/// The order of images in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they are: for testing. Nothing random happens to the images.
    Sequential,
    /// Shuffled (Fisher and Yates), another way each epoch; [`Sampling`] says what is.
    Shuffled {
        /// Seed of the order and of the augmentation.
        seed: u64,
        /// Epoch.
        epoch: usize,
    },
}

/// How an epoch's images are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Every image once.
    #[default]
    Shuffled,
    /// As many of each class, in an epoch as long: the images of a large class take turns over the
    /// epochs, those of a small one come several times.
    Balanced,
}

impl Order {
    /// Seed and epoch of what is random.
    pub(crate) fn random(self) -> Option<(u64, usize)> {
        match self {
            Self::Sequential => None,
            Self::Shuffled { seed, epoch } => Some((seed, epoch)),
        }
    }

    /// Indices of images with these labels in the order of the epoch.
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

/// The images of a balanced epoch, by class.
fn balanced(labels: &[usize], seed: u64, epoch: usize) -> Vec<usize> {
    let count = labels.iter().max().map_or(0, |most| most + 1);
    let mut classes = vec![Vec::new(); count];
    for (index, label) in labels.iter().enumerate() {
        classes[*label].push(index);
    }
    classes.retain(|class| !class.is_empty());
    let mut random = rng(seed, 1 << 62 | epoch as u64);
    let mut shares = vec![labels.len() / classes.len().max(1); classes.len()];
    // What does not divide goes to classes of the epoch's choice.
    let mut extra: Vec<usize> = (0..classes.len()).collect();
    extra.shuffle(&mut random);
    for class in &extra[..labels.len() % classes.len().max(1)] {
        shares[*class] += 1;
    }
    let mut chosen = Vec::with_capacity(labels.len());
    for (class, share) in classes.iter_mut().zip(shares) {
        for taken in 0..share {
            // A class is gone through whole before one of its images comes again.
            if taken % class.len() == 0 {
                class.shuffle(&mut random);
            }
            chosen.push(class[taken % class.len()]);
        }
    }
    chosen
}

/// How often each image came before in the epoch.
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
    fn every_image_comes_once_in_another_order_each_epoch() {
        let order =
            |epoch| Order::Shuffled { seed: 1, epoch }.indices(&[0; 20], Sampling::Shuffled);
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), order(1));
    }

    #[test]
    fn repeats_are_counted() {
        assert_eq!(repeats(&[2, 0, 2, 2, 0]), [0, 0, 1, 2, 1]);
    }

    proptest! {
        #[test]
        fn a_balanced_epoch_is_as_long_and_even(
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
                // A class is gone through evenly.
                let (least, most) = (count / size, count.div_ceil(*size));
                prop_assert!(of_class.iter().all(|seen| (least..=most).contains(seen)));
            }
            prop_assert_eq!(&of(Sampling::Balanced), &indices);
        }
    }
}
