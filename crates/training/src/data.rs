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
