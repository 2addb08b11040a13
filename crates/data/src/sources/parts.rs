//! From labelled images with the names of their classes to a data set.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::error::DataError;
use crate::sources::folder::SplitOptions;
use crate::sources::set::{ImageSet, Sample, Source, Splits};

/// Which part of a data set an image is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is not said.
    All,
    Train,
    Valid,
    Test,
}

impl Part {
    /// The part of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "valid" | "val" | "validation" | "dev" => Some(Self::Valid),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

/// An image and its class's name.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) source: Source,
    pub(crate) label: String,
    /// Where that was said, for messages.
    pub(crate) place: String,
}

/// Images by part.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    all: Vec<Labelled>,
    train: Vec<Labelled>,
    valid: Vec<Labelled>,
    test: Vec<Labelled>,
    /// Names of the classes in their order, where it is said; else they are sorted.
    pub(crate) classes: Option<Vec<String>>,
}

impl Parts {
    pub(crate) fn add(&mut self, part: Part, image: Labelled) {
        match part {
            Part::All => self.all.push(image),
            Part::Train => self.train.push(image),
            Part::Valid => self.valid.push(image),
            Part::Test => self.test.push(image),
        }
    }

    /// The data set; without a test part the validation part is what is tested with, and without
    /// that one as well the images are split.
    pub(crate) fn splits(
        mut self,
        path: &Path,
        options: &SplitOptions,
    ) -> Result<Splits, DataError> {
        let name = path.display().to_string();
        let train = if self.train.is_empty() {
            &mut self.all
        } else {
            &mut self.train
        };
        let train = std::mem::take(train);
        let used: BTreeSet<&str> = train.iter().map(|image| image.label.as_str()).collect();
        let classes: Vec<String> = match self.classes.take() {
            // A class that no image has cannot be learnt.
            Some(named) => named
                .into_iter()
                .filter(|class| used.contains(class.as_str()))
                .collect(),
            None => used.into_iter().map(str::to_owned).collect(),
        };
        match classes.as_slice() {
            [] => return Err(DataError::NoTraining(path.to_owned())),
            [class] => {
                return Err(DataError::OneClass {
                    path: path.to_owned(),
                    class: class.clone(),
                });
            }
            _ => {}
        }
        let set = |images: Vec<Labelled>| part(images, &classes);
        let train = set(train)?;
        let (valid, test) = match (self.valid.is_empty(), self.test.is_empty()) {
            (valid, false) => ((!valid).then_some(self.valid), Some(self.test)),
            (false, true) => (None, Some(self.valid)),
            (true, true) => (None, None),
        };
        let valid = valid.map(set).transpose()?;
        match test.map(set).transpose()? {
            Some(test) => Splits {
                name,
                train,
                valid,
                test,
            }
            .folded(options),
            None => train.split_whole(name, options),
        }
    }
}

impl Parts {
    /// The images to test with: the test part, else the validation part, else all.
    pub(crate) fn into_test(mut self, path: &Path) -> Result<ImageSet, DataError> {
        let parts = [
            &mut self.test,
            &mut self.valid,
            &mut self.all,
            &mut self.train,
        ];
        let images = parts.into_iter().find(|part| !part.is_empty());
        let images = images.map(std::mem::take).unwrap_or_default();
        if images.is_empty() {
            return Err(DataError::NoTraining(path.to_owned()));
        }
        let classes = self.classes.take().unwrap_or_else(|| {
            let sorted: BTreeSet<String> = images.iter().map(|image| image.label.clone()).collect();
            sorted.into_iter().collect()
        });
        part(images, &classes)
    }
}

/// The images of a part with the classes of the training part.
fn part(images: Vec<Labelled>, classes: &[String]) -> Result<ImageSet, DataError> {
    let pairs = classes.iter().map(String::as_str).zip(0..);
    let labels: HashMap<&str, usize> = pairs.collect();
    let sample = |image: Labelled| match labels.get(image.label.as_str()) {
        Some(label) => Ok(Sample {
            source: image.source,
            label: *label,
        }),
        None => Err(DataError::UnknownLabel {
            place: image.place,
            label: image.label,
            classes: classes.join(", "),
        }),
    };
    let set = ImageSet {
        classes: classes.to_vec(),
        samples: images.into_iter().map(sample).collect::<Result<_, _>>()?,
    };
    Ok(set)
}

impl ImageSet {
    /// Images without a test part, split.
    pub(crate) fn split_whole(
        self,
        name: String,
        options: &SplitOptions,
    ) -> Result<Splits, DataError> {
        let least = options.fold.map_or(2, |fold| fold.of);
        self.has_enough(least)?;
        let (train, test) = match options.fold {
            Some(fold) => self.fold(fold, options.seed),
            None => self.split(options.test_fraction, options.seed),
        };
        Ok(Splits {
            name,
            train,
            valid: None,
            test,
        })
    }

    fn has_enough(&self, least: usize) -> Result<(), DataError> {
        for (class, count) in self.classes.iter().zip(self.per_class()) {
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
}

impl Splits {
    /// With a fold of the training images for validation, where one is asked for.
    ///
    /// # Errors
    ///
    /// Where there are validation images already, or a class has fewer images than there are folds.
    pub fn folded(mut self, options: &SplitOptions) -> Result<Self, DataError> {
        if let Some(fold) = options.fold {
            if self.valid.is_some() {
                return Err(DataError::FoldsAndValid(self.name));
            }
            self.train.has_enough(fold.of)?;
            let (train, valid) = self.train.fold(fold, options.seed);
            self.train = train;
            self.valid = Some(valid);
        }
        Ok(self)
    }
}
