//! Labelled images that are not decoded yet, and choosing among them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::DataError;
use crate::random::rng;

/// Where an image comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An encoded file.
    File(PathBuf),
    /// An encoded file in memory.
    Memory {
        /// Its name, for messages.
        name: String,
        /// Its bytes.
        bytes: &'static [u8],
    },
    /// A row of a Parquet file.
    #[cfg(feature = "parquet")]
    Row {
        /// The file.
        file: Arc<crate::sources::parquet::ParquetFile>,
        /// Number of the row, from 0.
        row: usize,
    },
    /// Grey values in memory.
    Grey {
        /// Its name, for messages.
        name: String,
        /// Height, pixels.
        height: u32,
        /// Width, pixels.
        width: u32,
        /// `height · width` values, row by row.
        values: Arc<[u8]>,
    },
}

impl Source {
    /// Hashes what tells this image from others: of a file its path, its size and when it was changed.
    pub(crate) fn identify(&self, hasher: &mut Sha256) -> Result<(), DataError> {
        match self {
            Self::File(path) => identify_file(path, hasher)?,
            #[cfg(feature = "parquet")]
            Self::Row { file, row } => {
                identify_file(&file.path, hasher)?;
                hasher.update(row.to_le_bytes());
            }
            Self::Memory { name, bytes } => {
                hasher.update(name);
                hasher.update(bytes);
            }
            Self::Grey {
                name,
                height,
                width,
                values,
            } => {
                hasher.update(format!("{name} {height} {width} "));
                hasher.update(values);
            }
        }
        Ok(())
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory { name, .. } | Self::Grey { name, .. } => name.clone(),
            #[cfg(feature = "parquet")]
            Self::Row { file, row } => file.name(*row),
        }
    }
}

fn identify_file(path: &Path, hasher: &mut Sha256) -> Result<(), DataError> {
    let io = |source| DataError::Io {
        path: path.to_owned(),
        source,
    };
    let path = std::path::absolute(path).map_err(io)?;
    let data = path.metadata().map_err(io)?;
    let changed = data.modified().map_err(io)?;
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.update(format!(" {} {changed:?} ", data.len()));
    Ok(())
}

/// An image and its class.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where the image comes from.
    pub source: Source,
    /// Index of its class.
    pub label: usize,
}

/// One of several parts of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Which one, from 1.
    pub index: usize,
    /// How many there are, 2 or more.
    pub of: usize,
}

/// Labelled images.
#[derive(Debug, Clone)]
pub struct ImageSet {
    /// Names of the classes; labels index them.
    pub classes: Vec<String>,
    /// The images.
    pub samples: Vec<Sample>,
}

/// A data set: what to learn from, and what to be tested with.
#[derive(Debug, Clone)]
pub struct Splits {
    /// The folder's path, or `embedded:signs`.
    pub name: String,
    /// To learn from.
    pub train: ImageSet,
    /// To choose settings with, where the folder brings it along.
    pub valid: Option<ImageSet>,
    /// To be tested with, once.
    pub test: ImageSet,
}

impl Splits {
    /// Names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.train.classes
    }
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

    /// Number of images of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<usize> {
        self.by_class().iter().map(Vec::len).collect()
    }

    /// Chooses `count` images of each class, or all of a class that has fewer.
    ///
    /// The choice depends on `seed` alone, keeps the order, and grows: what a smaller count chose
    /// is among what a larger one chooses.
    #[must_use]
    pub fn take_per_class(&self, count: usize, seed: u64) -> Self {
        self.choose(|class| class.len().min(count), seed).0
    }

    /// Splits each class: what stays, and the share `fraction` of it that is held out.
    ///
    /// Of a class with two images or more, each side gets at least one.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn split(&self, fraction: f64, seed: u64) -> (Self, Self) {
        let held_out = |class: &[usize]| match class.len() {
            0 | 1 => 0,
            count => ((count as f64 * fraction).round() as usize).clamp(1, count - 1),
        };
        let (held_out, rest) = self.choose(held_out, seed);
        (rest, held_out)
    }

    /// The other folds together, and one fold of images: each class is shuffled by `seed` and dealt
    /// out in turn, so that every image is in one fold and the folds' sizes differ by one image of a
    /// class.
    #[must_use]
    pub fn fold(&self, fold: Fold, seed: u64) -> (Self, Self) {
        let mut chosen = vec![false; self.len()];
        let mut dealt = 0;
        for (label, mut class) in self.by_class().into_iter().enumerate() {
            class.shuffle(&mut rng(seed, label as u64));
            // Each class goes on where the last one ended: the folds are of one size as well.
            for index in class {
                chosen[index] = dealt % fold.of == fold.index - 1;
                dealt += 1;
            }
        }
        let (held_out, rest) = self.divide(&chosen);
        (rest, held_out)
    }

    /// The chosen images, and the others.
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

    /// A set whose samples are told apart by their names.
    fn set(sizes: &[usize]) -> ImageSet {
        let mut samples = Vec::new();
        for (label, size) in sizes.iter().enumerate() {
            for i in 0..*size {
                let source = Source::Memory {
                    name: format!("{label}/{i}"),
                    bytes: &[],
                };
                samples.push(Sample { source, label });
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
        fn a_split_is_stratified_and_loses_nothing(
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
        fn folds_are_stratified_and_together_all(
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
        fn fewer_images_are_among_more(sizes in prop::collection::vec(1_usize..20, 1..4), few in 1_usize..10, seed: u64) {
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
