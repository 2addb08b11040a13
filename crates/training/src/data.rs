//! The images of a run, and the order in which they are read.

use burn::tensor::Device;
use finetune_data::{Images, Loader, Normalization, Order};

use crate::error::TrainingError;
use crate::recipe::Recipe;

/// The images of a run. The test images are not among them: nothing may be selected by them.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    /// The images that the model is trained on.
    pub train: &'a Images,
    /// The images that the model is validated on after each epoch.
    pub valid: Option<&'a Images>,
    /// How pixel values are normalised.
    pub normalization: Normalization,
}

impl<'a> TrainingData<'a> {
    /// Checks that there are images for all that the recipe does.
    ///
    /// # Errors
    ///
    /// [`TrainingError::NoImages`] or [`TrainingError::NoValidation`].
    pub(crate) fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        if self.train.is_empty() {
            return Err(TrainingError::NoImages);
        }
        if recipe.needs_validation() && self.valid.is_none_or(Images::is_empty) {
            return Err(TrainingError::NoValidation);
        }
        Ok(())
    }

    /// The training images of an epoch (from 1), shuffled and augmented.
    #[must_use]
    pub fn epoch(&self, recipe: &Recipe, epoch: usize, device: &Device) -> Loader<'a> {
        let loader = self
            .shuffled(recipe, epoch, device)
            .drop_last(recipe.drops_last(self.train.len()))
            .augment(recipe.augment.clone());
        match recipe.view(epoch) {
            Some(view) => loader.view(recipe.seed, view),
            None => loader,
        }
    }

    /// The training images in the order of an epoch, as they are.
    pub(crate) fn shuffled(&self, recipe: &Recipe, epoch: usize, device: &Device) -> Loader<'a> {
        let order = Order::Shuffled {
            seed: recipe.seed,
            epoch,
        };
        Loader::new(self.train, recipe.batch_size, order)
            .normalization(self.normalization)
            .device(device)
    }
}

/// Images in their own order, on the device without autodiff.
pub(crate) fn in_order<'a>(
    images: &'a Images,
    normalization: Normalization,
    batch_size: usize,
    device: &Device,
) -> Loader<'a> {
    Loader::new(images, batch_size, Order::Sequential)
        .normalization(normalization)
        .device(&device.clone().inner())
}

#[cfg(test)]
mod tests {
    use finetune_data::{Preprocess, embedded_signs};

    use super::*;
    use crate::recipe::Optimizer;

    #[test]
    fn an_epoch_has_whole_batches_unless_that_leaves_none() {
        // Two of each of five classes.
        let set = embedded_signs().train.take_per_class(2, 0);
        let images = set.decode(&Preprocess::square(4)).unwrap();
        let data = TrainingData {
            train: &images,
            valid: None,
            normalization: Normalization::HALF,
        };
        let recipe = |batch_size, drop_last| Recipe {
            batch_size,
            drop_last,
            ..Recipe::new(Optimizer::Adam, 0.001)
        };
        let epoch = |recipe: &Recipe, epoch| data.epoch(recipe, epoch, &Device::flex());
        for (batch_size, drop_last, wanted) in [
            (4, false, vec![4, 4, 2]),
            (4, true, vec![4, 4]),
            (5, true, vec![5, 5]),
            (10, true, vec![10]),
            (16, true, vec![10]),
        ] {
            let recipe = recipe(batch_size, drop_last);
            let batches = epoch(&recipe, 1);
            // Cached features are read by these indices.
            assert_eq!(batches.remaining().len(), wanted.iter().sum::<usize>());
            let sizes: Vec<_> = batches
                .map(|batch| batch.unwrap().labels.dims()[0])
                .collect();
            assert_eq!(sizes, wanted, "{batch_size} {drop_last}");
            assert_eq!(recipe.steps_per_epoch(10), wanted.len());
        }
        // A run that goes on after the first batch has the second one left.
        let recipe = recipe(4, true);
        let all = epoch(&recipe, 1).indices().to_vec();
        assert_eq!(epoch(&recipe, 1).skip_batches(1).remaining(), &all[4..8]);
        assert!(epoch(&recipe, 1).skip_batches(2).remaining().is_empty());
        // Other images are left out in another epoch.
        assert_ne!(all[8..], epoch(&recipe, 2).indices()[8..]);
    }
}
