//! Batches of decoded images, in an order.

use burn::tensor::Device;
use rand::seq::SliceRandom;

use crate::augment::Augment;
use crate::error::DataError;
use crate::images::{Batch, Images, Normalization};
use crate::random::rng;

/// The order of images in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they are: for testing. Nothing random happens to the images.
    Sequential,
    /// Shuffled (Fisher and Yates), another way each epoch.
    Shuffled {
        /// Seed of the order and of the augmentation.
        seed: u64,
        /// Epoch.
        epoch: usize,
    },
}

/// An iterator over the batches of one epoch.
#[derive(Debug)]
pub struct Loader<'a> {
    images: &'a Images,
    batch_size: usize,
    order: Order,
    indices: Vec<usize>,
    next: usize,
    normalization: Normalization,
    augment: Augment,
    drop_last: bool,
    device: Device,
}

impl<'a> Loader<'a> {
    /// All images in batches of `batch_size` (at least 1), on the flex device, to -1–1.
    #[must_use]
    pub fn new(images: &'a Images, batch_size: usize, order: Order) -> Self {
        let mut indices: Vec<usize> = (0..images.len()).collect();
        if let Order::Shuffled { seed, epoch } = order {
            indices.shuffle(&mut rng(seed, epoch as u64));
        }
        Self {
            images,
            batch_size: batch_size.max(1),
            order,
            indices,
            next: 0,
            normalization: Normalization::HALF,
            augment: Augment::default(),
            drop_last: false,
            device: Device::flex(),
        }
    }

    /// Normalises with these values.
    #[must_use]
    pub fn normalization(mut self, normalization: Normalization) -> Self {
        self.normalization = normalization;
        self
    }

    /// Changes images at random; only in a shuffled order, whose seed and epoch it follows.
    #[must_use]
    pub fn augment(mut self, augment: Augment) -> Self {
        self.augment = augment;
        self
    }

    /// Leaves out a last batch that is smaller than the others.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Puts the tensors on this device.
    #[must_use]
    pub fn device(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }

    /// Number of batches of the epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        if self.drop_last {
            self.indices.len() / self.batch_size
        } else {
            self.indices.len().div_ceil(self.batch_size)
        }
    }

    /// Indices of the images in the order of the epoch.
    #[must_use]
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Iterator for Loader<'_> {
    /// An image that cannot be read ends the epoch with its error.
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.indices[self.next..];
        let size = rest.len().min(self.batch_size);
        if size == 0 || (self.drop_last && size < self.batch_size) {
            return None;
        }
        self.next += size;
        let indices = &rest[..size];
        let (norm, device) = (&self.normalization, &self.device);
        Some(Ok(match self.order {
            Order::Sequential => self.images.batch(indices, norm, device),
            Order::Shuffled { seed, epoch } => self.images.warped(indices, norm, device, |index| {
                self.augment.draw(seed, epoch, index)
            }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 27).map(|value| (value % 251) as u8).collect();
        Images::new(vec!["a".to_owned()], [3, 3], vec![0; count], pixels)
    }

    /// Every image's values, by its index.
    fn by_index(loader: Loader<'_>) -> Vec<Vec<f32>> {
        let order = loader.indices().to_vec();
        let values: Vec<f32> = loader
            .flat_map(|batch| {
                batch
                    .unwrap()
                    .images
                    .into_data()
                    .iter::<f32>()
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut images = vec![Vec::new(); order.len()];
        for (values, index) in values.chunks(27).zip(order) {
            images[index] = values.to_vec();
        }
        images
    }

    #[test]
    fn augmentation_does_not_depend_on_the_batch_size() {
        let images = images(7);
        let augment = Augment {
            flip: true,
            shift: 1,
            rotate: 20.0,
            ..Augment::default()
        };
        let order = Order::Shuffled { seed: 4, epoch: 2 };
        let with = |size| by_index(Loader::new(&images, size, order).augment(augment.clone()));
        assert_eq!(with(2), with(7));
        assert_ne!(with(2), by_index(Loader::new(&images, 2, order)));
    }

    #[test]
    fn every_image_comes_once_in_another_order_each_epoch() {
        let images = images(20);
        let order = |epoch| {
            Loader::new(&images, 8, Order::Shuffled { seed: 1, epoch })
                .indices()
                .to_vec()
        };
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), order(1));
    }

    #[test]
    fn the_last_batch_is_kept_or_dropped() {
        let images = images(10);
        let sizes = |drop| {
            let loader = Loader::new(&images, 4, Order::Sequential).drop_last(drop);
            let batches = loader.batches();
            let sizes: Vec<_> = loader
                .map(|batch| batch.unwrap().labels.dims()[0])
                .collect();
            assert_eq!(sizes.len(), batches);
            sizes
        };
        assert_eq!(sizes(false), [4, 4, 2]);
        assert_eq!(sizes(true), [4, 4]);
    }

    #[test]
    fn each_epoch_changes_images_another_way_and_testing_none() {
        let images = images(6);
        let augment = Augment {
            shift: 1,
            rotate: 20.0,
            ..Augment::default()
        };
        let of = |order| by_index(Loader::new(&images, 4, order).augment(augment.clone()));
        let epoch = |epoch| of(Order::Shuffled { seed: 4, epoch });
        assert_eq!(epoch(1), epoch(1));
        assert_ne!(epoch(1), epoch(2));
        let plain = by_index(Loader::new(&images, 4, Order::Sequential));
        assert_eq!(of(Order::Sequential), plain);
    }

    #[test]
    fn no_images_make_no_batch() {
        let images = images(0);
        assert_eq!(Loader::new(&images, 0, Order::Sequential).batches(), 0);
        assert!(Loader::new(&images, 0, Order::Sequential).next().is_none());
    }
}
