//! Training, validation and test images, and splitting what has not been split.

use finetune_files::quoted;

use super::groups;
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
#[derive(Debug, Clone, PartialEq)]
pub struct SplitOptions {
    /// Share of each class that is held out for testing, above 0 and below 1.
    pub test_fraction: f64,
    /// Seed of the choice.
    pub seed: u64,
    /// The fold to hold out instead of that share. In a data set with test images the folds are of the
    /// training images, and this one is for validation; otherwise the folds are of all images, and this
    /// one is for testing.
    pub fold: Option<Fold>,
    /// A regular expression: images whose file names match it are of the group that the first part in
    /// parentheses matches (or the whole expression), and groups are not divided. A column of groups
    /// in a manifest counts only without it.
    pub group_by: Option<String>,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            test_fraction: 0.25,
            seed: 0,
            fold: None,
            group_by: None,
        }
    }
}

impl Splits {
    /// Names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.train.classes
    }

    /// Finds groups by the names of files, if that is asked for, and moves a fold of the training images
    /// to validation, if a fold is asked for. Says so if test or validation images are of groups that
    /// train.
    ///
    /// # Errors
    ///
    /// [`DataError::Pattern`] if no file name matches the pattern, [`DataError::FoldsAndValid`] if there are validation images already,
    /// [`DataError::NoSuchFold`] if there is no such fold, and [`DataError::TooFewToSplit`] if a class
    /// has fewer training images than there are folds.
    pub fn folded(mut self, options: &SplitOptions) -> Result<Self, DataError> {
        let valid = self.valid.iter_mut();
        let sets = valid.chain([&mut self.train, &mut self.test]).collect();
        grouped(sets, options, &mut self.origin)?;
        self.origin.notes.extend(self.leaks());
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

    /// Says how many images for testing or validation are of groups that train as well.
    fn leaks(&self) -> Vec<String> {
        let held_out = [
            ("validation", self.valid.as_ref()),
            ("test", Some(&self.test)),
        ];
        let parts = held_out
            .into_iter()
            .filter_map(|(name, set)| Some((name, set?)));
        let leaks = parts.filter_map(|(name, set)| {
            let shared = groups::shared(set, &self.train);
            (shared > 0).then(|| {
                format!(
                    "{shared} of {} {name} images are of groups that are among the training images, \
                     too: results on them will be too good",
                    set.len()
                )
            })
        });
        leaks.collect()
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
        mut images: ImageSet,
        name: String,
        mut origin: Origin,
        options: &SplitOptions,
    ) -> Result<Self, DataError> {
        grouped(vec![&mut images], options, &mut origin)?;
        let least = options.fold.map_or(2, |fold| fold.of);
        let seed = options.seed;
        let (train, test) = if let Some(fold) = options.fold {
            fold.check()?;
            has_enough(&images, least)?;
            origin.made.push(format!(
                "no test part: fold {} of {} (seed {seed}) is for testing",
                fold.index, fold.of
            ));
            images.fold(fold, seed)
        } else {
            has_enough(&images, least)?;
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

/// Sets the groups of images by their names if that is asked for, and says how many groups there are.
fn grouped(
    sets: Vec<&mut ImageSet>,
    options: &SplitOptions,
    origin: &mut Origin,
) -> Result<(), DataError> {
    let mut images = 0;
    let mut all = ImageSet::default();
    let mut first = None;
    let mut matches = 0;
    for set in sets {
        images += set.len();
        first = first.or(set.samples.first().map(|sample| sample.source.name()));
        if let Some(pattern) = &options.group_by {
            for sample in &mut set.samples {
                sample.group = None;
            }
            matches += groups::group_by(set, pattern)?;
        }
        all.samples.extend(set.samples.iter().cloned());
    }
    if let (Some(pattern), 0) = (&options.group_by, matches) {
        return Err(DataError::Pattern {
            pattern: pattern.clone(),
            reason: format!(
                "no file name matches it; the first image is {}",
                quoted(&first.unwrap_or_default())
            ),
        });
    }
    let grouped = all.samples.iter().filter(|sample| sample.group.is_some());
    let grouped = grouped.count();
    if grouped > 0 {
        origin.made.push(format!(
            "{grouped} of {images} images are of {} groups, which are not divided",
            groups::count(&all)
        ));
    }
    Ok(())
}

/// Checks that each class has `least` images, or groups of images, or more.
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
    if !set.has_groups() {
        return Ok(());
    }
    for (class, count) in set.classes.iter().zip(groups::per_class(set)) {
        if count < least {
            return Err(DataError::TooFewGroups {
                class: class.clone(),
                count,
                least,
            });
        }
    }
    Ok(())
}
