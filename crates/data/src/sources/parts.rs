//! From labelled images with the names of their classes to a data set.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::set::{ImageSet, Sample};
use super::source::Source;
use super::splits::{SplitOptions, Splits};
use crate::error::DataError;

/// The split that an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The data set does not say.
    Unknown,
    Train,
    Valid,
    Test,
}

impl Part {
    /// The split of that name, in upper or lower case.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "valid" | "val" | "validation" | "dev" => Some(Self::Valid),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

/// An image and the name of its class.
#[derive(Debug)]
pub(super) struct Labelled {
    pub(super) source: Source,
    pub(super) label: String,
    /// Where the label was read, for messages.
    pub(super) place: String,
}

/// Labelled images by split.
#[derive(Debug, Default)]
pub(super) struct Parts {
    unknown: Vec<Labelled>,
    train: Vec<Labelled>,
    valid: Vec<Labelled>,
    test: Vec<Labelled>,
    /// Names of the classes in order, if the data set has an order; otherwise they are sorted.
    pub(super) classes: Option<Vec<String>>,
}

impl Parts {
    pub(super) fn add(&mut self, part: Part, image: Labelled) {
        match part {
            Part::Unknown => self.unknown.push(image),
            Part::Train => self.train.push(image),
            Part::Valid => self.valid.push(image),
            Part::Test => self.test.push(image),
        }
    }

    /// The data set. Without test images the validation images are for testing; without either, the
    /// images are split.
    pub(super) fn splits(
        mut self,
        path: &Path,
        options: &SplitOptions,
    ) -> Result<Splits, DataError> {
        let name = path.display().to_string();
        let train = if self.train.is_empty() {
            &mut self.unknown
        } else {
            &mut self.train
        };
        let train = std::mem::take(train);
        let used: BTreeSet<&str> = train.iter().map(|image| image.label.as_str()).collect();
        let classes: Vec<String> = match self.classes.take() {
            // A class without training images cannot be learnt.
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
        let set = |images: Vec<Labelled>| image_set(images, &classes);
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
            None => Splits::of_whole(&train, name, options),
        }
    }

    /// The images to test with: the test images, otherwise the validation images, otherwise all.
    pub(super) fn into_test(mut self, path: &Path) -> Result<ImageSet, DataError> {
        let parts = [
            &mut self.test,
            &mut self.valid,
            &mut self.unknown,
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
        image_set(images, &classes)
    }
}

/// The images of a split, whose labels must be among `classes`.
fn image_set(images: Vec<Labelled>, classes: &[String]) -> Result<ImageSet, DataError> {
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
