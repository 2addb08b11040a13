//! Training, validation and test images, and splitting what has not been split.

use super::origin::Origin;
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
    /// How the data set was understood.
    pub(crate) origin: Origin,
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
    /// [`DataError::FoldsAndValid`] if there are validation images already,
    /// [`DataError::NoSuchFold`] if there is no such fold, and [`DataError::TooFewToSplit`] if a class
    /// has fewer training images than there are folds.
    pub fn folded(mut self, options: &SplitOptions) -> Result<Self, DataError> {
        if let Some(fold) = options.fold {
            if self.valid.is_some() {
                return Err(DataError::FoldsAndValid(self.name));
            }
            fold.check()?;
            has_enough(&self.train, fold.of)?;
            let (train, valid) = self.train.fold(fold, options.seed);
            self.train = train;
            self.valid = Some(valid);
            self.origin.made.push(format!(
                "fold {} of {} of the training images (seed {}) is for validation",
                fold.index, fold.of, options.seed
            ));
        }
        Ok(self)
    }

    /// Moves a fraction of the training images of each class to validation, chosen by `seed`. If there
    /// are validation images already, they remain, and [`understood`](Self::understood) says so.
    #[must_use]
    pub fn with_validation(mut self, fraction: f64, seed: u64) -> Self {
        if self.valid.is_some() {
            let note = "there are validation images already, so that none are split from the training \
                        images";
            self.origin.notes.push(note.to_owned());
            return self;
        }
        let (train, valid) = self.train.split(fraction, seed);
        self.train = train;
        self.valid = Some(valid);
        self.origin.made.push(format!(
            "{} of the training images of each class, chosen at random by seed {seed}, are for \
             validation",
            percent(fraction)
        ));
        self
    }

    /// Takes at most `count` training images of each class, chosen by `seed`.
    #[must_use]
    pub fn with_train_per_class(mut self, count: usize, seed: u64) -> Self {
        let available = self.train.per_class();
        if let (Some(least), Some(most)) = (available.iter().min(), available.iter().max())
            && *least < count
        {
            let note = if *most < count {
                format!(
                    "{count} training images per class were asked for, but the largest class has {most}"
                )
            } else {
                let fewer = available.iter().filter(|images| **images < count).count();
                format!(
                    "{count} training images per class were asked for, but {fewer} of {} classes have \
                     fewer, the smallest {least}",
                    available.len()
                )
            };
            self.origin.notes.push(note);
        }
        self.train = self.train.take_per_class(count, seed);
        self.origin.limit = Some(count);
        self
    }

    /// Splits images of which none are for testing.
    pub(super) fn of_whole(
        images: &ImageSet,
        name: String,
        mut origin: Origin,
        options: &SplitOptions,
    ) -> Result<Self, DataError> {
        let least = options.fold.map_or(2, |fold| fold.of);
        let seed = options.seed;
        let (train, test) = if let Some(fold) = options.fold {
            fold.check()?;
            has_enough(images, least)?;
            origin.made.push(format!(
                "no test part: fold {} of {} (seed {seed}) is for testing",
                fold.index, fold.of
            ));
            images.fold(fold, seed)
        } else {
            has_enough(images, least)?;
            origin.made.push(format!(
                "no test part: {} of the images of each class, chosen at random by seed {seed}, are \
                 for testing",
                percent(options.test_fraction)
            ));
            images.split(options.test_fraction, seed)
        };
        Ok(Self {
            name,
            train,
            valid: None,
            test,
            origin,
        })
    }
}

/// A fraction as a percentage with at most one decimal place: `25 %`, `12.5 %`.
fn percent(fraction: f64) -> String {
    format!("{} %", (fraction * 1000.0).round() / 10.0)
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
