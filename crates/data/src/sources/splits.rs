//! Training, validation and test images, and splitting what has not been split.

use super::set::{Fold, ImageSet};
use crate::error::DataError;

/// A data set: training, validation and test images.
#[derive(Debug, Clone)]
pub struct Splits {
    /// The path, or `embedded:signs`.
    pub name: String,
    /// Training images.
    pub train: ImageSet,
    /// Images to choose settings with, if the data set has some.
    pub valid: Option<ImageSet>,
    /// Test images, to be looked at once.
    pub test: ImageSet,
}

/// How a data set without test images is split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitOptions {
    /// Share of each class that is held out for testing, above 0 and below 1.
    pub test_fraction: f64,
    /// Seed of the choice.
    pub seed: u64,
    /// The fold to hold out instead of that share. In a data set with test images the folds are of the
    /// training images, and this one is for validation; otherwise the folds are of all images, and this
    /// one is for testing.
    pub fold: Option<Fold>,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            test_fraction: 0.25,
            seed: 0,
            fold: None,
        }
    }
}

impl Splits {
    /// Names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.train.classes
    }

    /// Moves a fold of the training images to validation, if a fold is asked for.
    ///
    /// # Errors
    ///
    /// [`DataError::FoldsAndValid`] if there are validation images already, and
    /// [`DataError::TooFewToSplit`] if a class has fewer training images than there are folds.
    pub fn folded(mut self, options: &SplitOptions) -> Result<Self, DataError> {
        if let Some(fold) = options.fold {
            if self.valid.is_some() {
                return Err(DataError::FoldsAndValid(self.name));
            }
            has_enough(&self.train, fold.of)?;
            let (train, valid) = self.train.fold(fold, options.seed);
            self.train = train;
            self.valid = Some(valid);
        }
        Ok(self)
    }

    /// Splits images of which none are for testing.
    pub(super) fn of_whole(
        images: &ImageSet,
        name: String,
        options: &SplitOptions,
    ) -> Result<Self, DataError> {
        let least = options.fold.map_or(2, |fold| fold.of);
        has_enough(images, least)?;
        let (train, test) = match options.fold {
            Some(fold) => images.fold(fold, options.seed),
            None => images.split(options.test_fraction, options.seed),
        };
        Ok(Self {
            name,
            train,
            valid: None,
            test,
        })
    }
}

/// Checks that each class has `least` images or more.
fn has_enough(set: &ImageSet, least: usize) -> Result<(), DataError> {
    for (class, count) in set.classes.iter().zip(set.per_class()) {
        if count < least {
            return Err(DataError::TooFewToSplit {
                class: class.clone(),
                count,
                least,
            });
        }
    }
    Ok(())
}
