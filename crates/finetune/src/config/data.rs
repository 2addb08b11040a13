//! The images of a run: which ones, and how they are opened and prepared.

use std::collections::HashSet;
use std::path::PathBuf;

use finetune_data::check::UnusableImage;
use finetune_data::sources::Contents;
use finetune_data::{
    Augment, Fit, Fold, ImageSet, Images, Pipeline, Preprocess, Sampling, SplitOptions, Splits,
    StoredSize, Understood, named, open,
};
use finetune_files::quoted;
use finetune_model::Architecture;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::identity::DataIdentity;
use crate::machine::cache::cache_folder;

/// The photographs inside the program.
pub const EMBEDDED: &str = "embedded";

/// Which images, how many, and of what size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Folder, manifest, Parquet file, `embedded` or `fashion-mnist`.
    pub path: PathBuf,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// How pictures that are not square are fitted to it.
    #[serde(default)]
    pub fit: Fit,
    /// Number of training images per class; `None` is all.
    pub train_per_class: Option<usize>,
    /// Fraction of the training images that is held out for validation if the data set has no
    /// validation part; `None` holds out a tenth if there are [enough](Self::held_out).
    pub valid_fraction: Option<f64>,
    /// The fold that is held out, in cross-validation.
    #[serde(default)]
    pub fold: Option<Fold>,
    /// A pattern of file names that finds images with something in common, which splitting does not
    /// divide; see [`SplitOptions::group_by`].
    #[serde(default)]
    pub group_by: Option<String>,
    /// How the images of an epoch are chosen.
    #[serde(default)]
    pub sampling: Sampling,
    /// Images with more pixels are rejected; `None` is the default limit.
    #[serde(default)]
    pub max_pixels: Option<u64>,
    /// How images get from their files into batches.
    #[serde(default)]
    pub pipeline: Pipeline,
}

/// Is told again and again how many images of how many are decoded.
pub type Watch<'a> = &'a mut dyn FnMut(usize, usize);

/// The images of a run, ready for batches.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The data set's name in reports.
    pub name: String,
    /// Training images.
    pub train: Images,
    /// Validation images, if there are any.
    pub valid: Option<Images>,
    /// Test images.
    pub test: Images,
    /// Names of the test images.
    pub test_names: Vec<String>,
    /// What the data set consists of, by which it can be recognised.
    pub identity: DataIdentity,
    /// How the data set was understood; its numbers include images that cannot be read.
    pub understood: Understood,
}

/// The embedded photographs, for the default model.
impl Default for DataConfig {
    fn default() -> Self {
        Self::new(PathBuf::from(EMBEDDED), 64)
    }
}

impl DataConfig {
    /// All images of a path.
    #[must_use]
    pub fn new(path: PathBuf, image_size: usize) -> Self {
        let mut pipeline = Pipeline::default();
        if let Ok(folder) = cache_folder() {
            pipeline.folder = folder.join("images");
        }
        Self {
            path,
            image_size,
            fit: Fit::Squash,
            train_per_class: None,
            valid_fraction: None,
            fold: None,
            group_by: None,
            sampling: Sampling::default(),
            max_pixels: None,
            pipeline,
        }
    }

    /// Whether the path is the name of a data set instead of a file or folder.
    #[must_use]
    pub fn is_named(&self) -> bool {
        named(&self.path).is_some()
    }

    /// Opens the data set, selects images and splits them, without decoding any.
    ///
    /// # Errors
    ///
    /// The data set is not valid.
    pub fn open(&self, seed: u64) -> Result<Splits, Error> {
        Ok(self.selected(self.whole()?, seed))
    }

    /// Opens the data set with all of its images.
    ///
    /// # Errors
    ///
    /// The data set is not valid.
    pub(crate) fn whole(&self) -> Result<Splits, Error> {
        let options = SplitOptions {
            fold: self.fold,
            group_by: self.group_by.clone(),
            ..SplitOptions::default()
        };
        Ok(match named(&self.path) {
            Some(set) => set.open(&options)?,
            None => open(&self.path, &options)?,
        })
    }

    /// The fraction of the training images that is held out for validation.
    ///
    /// Unless it is set, that is a tenth if the data set has no validation images and there are enough
    /// for an accuracy that says something: 500 training images or more, 40 or more of each class.
    #[must_use]
    pub fn held_out(&self, splits: &Splits) -> f64 {
        const FRACTION: f64 = 0.1;
        const IMAGES: usize = 500;
        const PER_CLASS: usize = 40;
        self.valid_fraction.unwrap_or_else(|| {
            let smallest = splits.train.per_class().into_iter().min();
            let enough = splits.train.len() >= IMAGES && smallest >= Some(PER_CLASS);
            if enough && splits.valid.is_none() {
                FRACTION
            } else {
                0.0
            }
        })
    }

    /// Holds out images for validation and chooses training images, as the run says.
    fn selected(&self, mut splits: Splits, seed: u64) -> Splits {
        let fraction = self.held_out(&splits);
        if fraction > 0.0 {
            splits = splits.with_validation(fraction, 0);
        }
        if let Some(count) = self.train_per_class {
            splits = splits.with_train_per_class(count, seed);
        }
        splits
    }

    /// How images are prepared for an architecture.
    #[must_use]
    pub fn preprocess(&self, architecture: &Architecture) -> Preprocess {
        let preprocess = architecture.preprocess();
        Preprocess {
            fit: self.fit,
            max_pixels: self.max_pixels.unwrap_or(preprocess.max_pixels),
            ..preprocess
        }
    }

    /// Opens and decodes the images, ready for batches.
    ///
    /// # Errors
    ///
    /// The data set is not valid, or an image cannot be used.
    pub fn prepare(
        &self,
        seed: u64,
        preprocess: &Preprocess,
        augment: &Augment,
    ) -> Result<Decoded, Error> {
        self.decode(self.whole()?, seed, preprocess, augment, &mut |_, _| ())
    }

    /// Decodes the images of a data set that [`whole`](Self::whole) opened. `watch` is told again and
    /// again how many images of how many are decoded.
    pub(crate) fn decode(
        &self,
        whole: Splits,
        seed: u64,
        preprocess: &Preprocess,
        augment: &Augment,
        watch: Watch<'_>,
    ) -> Result<Decoded, Error> {
        let mut identity = DataIdentity::of(&whole)?;
        let keys: Vec<Vec<u64>> = parts(&whole).map(ImageSet::keys).collect();
        let splits = self.selected(whole, seed);
        let understood = splits.understood();
        let all = parts(&splits).map(ImageSet::len).sum();
        let mut before = 0;
        let mut prepare = |set: &ImageSet, size: StoredSize| {
            let mut decoded = |images| watch(before + images, all);
            let images = set.prepare_watched(preprocess, size, &self.pipeline, &mut decoded);
            before += set.len();
            images
        };
        let mut train = prepare(&splits.train, augment.stored_size())?;
        train.sampling = self.sampling;
        let mut fitted = |set: &ImageSet| prepare(set, StoredSize::Fitted);
        let mut valid = splits.valid.as_ref().map(&mut fitted).transpose()?;
        let mut test = fitted(&splits.test)?;
        let mut contents = Contents::default();
        let images = [Some(&mut train), valid.as_mut(), Some(&mut test)];
        for (set, images) in parts(&splits).zip(images.into_iter().flatten()) {
            contents.add(set, &std::mem::take(&mut images.checksums));
        }
        identity.set_contents(keys.iter().map(|keys| contents.of(keys)).collect());
        Ok(Decoded {
            test_names: used_names(&splits.test, &test),
            train,
            valid,
            test,
            name: splits.name,
            identity,
            understood,
        })
    }
}

impl DataConfig {
    /// Names an image whose contents differ between two identities that are the same otherwise, in
    /// words; `None` if there is none.
    #[must_use]
    pub fn other_contents(&self, was: &DataIdentity, is: &DataIdentity) -> Option<String> {
        let changed = was.other_contents(is)?;
        // Nobody remembers the names of a million images for the one that may have changed.
        let whole = self.whole().ok();
        let sets = whole.as_ref().into_iter().flat_map(parts);
        let mut parts = is.parts.iter().zip(sets);
        let set = parts.find(|(part, _)| part.name == changed.part);
        let sample = set.and_then(|(_, set)| set.samples.get(changed.index));
        let name = match sample {
            Some(sample) => quoted(&sample.source.name()),
            None => format!("{} image {}", changed.part, changed.index + 1),
        };
        Some(match changed.others {
            0 => format!("the contents of {name} have changed"),
            1 => format!("the contents of {name} and of 1 other image have changed"),
            others => format!("the contents of {name} and of {others} other images have changed"),
        })
    }
}

/// The names of the images of a set that could be used.
fn used_names(set: &ImageSet, images: &Images) -> Vec<String> {
    let skipped: HashSet<&str> = images
        .skipped
        .iter()
        .map(|one| one.image.as_str())
        .collect();
    let names = set.samples.iter().map(|sample| sample.source.name());
    names
        .filter(|name| !skipped.contains(name.as_str()))
        .collect()
}

/// The parts that a data set has: `train`, `valid`, `test`.
fn parts(splits: &Splits) -> impl Iterator<Item = &ImageSet> {
    let parts = [
        Some(&splits.train),
        splits.valid.as_ref(),
        Some(&splits.test),
    ];
    parts.into_iter().flatten()
}

impl Decoded {
    fn parts(&self) -> impl Iterator<Item = &Images> {
        [Some(&self.train), self.valid.as_ref(), Some(&self.test)]
            .into_iter()
            .flatten()
    }

    /// The images that were left out.
    #[must_use]
    pub fn skipped(&self) -> Vec<UnusableImage> {
        self.parts().flat_map(|part| part.skipped.clone()).collect()
    }

    /// What a user should know about the images: which were left out, and where the others are
    /// stored.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        const SHOWN: usize = 10;
        let skipped = self.skipped();
        let shown = skipped.iter().take(SHOWN);
        let mut notes: Vec<String> = shown
            .map(|image| format!("left out: {}", image.reason))
            .collect();
        if skipped.len() > SHOWN {
            let more = skipped.len() - SHOWN;
            notes.push(format!("left out: {more} more; the report lists them all"));
        }
        let mut of_parts: Vec<&String> =
            self.parts().filter_map(|part| part.note.as_ref()).collect();
        of_parts.dedup();
        notes.extend(of_parts.into_iter().cloned());
        notes
    }
}
