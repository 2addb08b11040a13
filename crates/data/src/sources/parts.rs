//! From labelled images with the names of their classes to a data set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use finetune_files::quoted_path;

use super::origin::{From, Origin};
pub(super) use super::part_names::Part;
use super::set::{ImageSet, Sample};
use super::source::Source;
use super::splits::{SplitOptions, Splits};
use crate::error::{DataError, listed};

/// Where a label was read, for messages.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    /// `line` or `row`.
    pub(super) unit: &'static str,
    pub(super) number: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, unit, number } = self;
        write!(f, "{}, {unit} {number}", quoted_path(file))
    }
}

/// An image and its class.
#[derive(Debug)]
struct Labelled {
    source: Source,
    /// Index into the labels.
    label: usize,
    group: Option<Arc<str>>,
    place: Place,
}

/// Labelled images by part.
#[derive(Debug, Default)]
pub(super) struct Parts {
    images: BTreeMap<Part, Vec<Labelled>>,
    /// The different labels in the order in which they occurred. A million images share a few.
    labels: Vec<String>,
    indices: HashMap<String, usize>,
    /// Names of the classes in order, if the data set has an order; otherwise they are sorted.
    pub(super) classes: Option<Vec<String>>,
    /// The files that each part came from.
    pub(super) from: BTreeMap<Part, Vec<String>>,
    pub(super) origin: Origin,
}

impl Parts {
    pub(super) fn add(
        &mut self,
        part: Part,
        (source, group): (Source, Option<Arc<str>>),
        label: &str,
        place: Place,
    ) {
        let label = self.indices.get(label).copied().unwrap_or_else(|| {
            let next = self.labels.len();
            self.indices.insert(label.to_owned(), next);
            self.labels.push(label.to_owned());
            next
        });
        self.images.entry(part).or_default().push(Labelled {
            source,
            label,
            group,
            place,
        });
    }

    /// Takes the images of the first of some parts that has any.
    fn take(&mut self, parts: &[Part]) -> (Part, Vec<Labelled>) {
        let mut parts = parts.iter();
        let found = parts.find_map(|part| Some((*part, self.images.remove(part)?)));
        found.unwrap_or((Part::Unknown, Vec::new()))
    }

    fn from(&self, part: Part) -> Option<String> {
        self.from.get(&part).map(|files| listed(files))
    }

    /// The different labels of images, sorted.
    fn used(&self, images: &[Labelled]) -> BTreeSet<String> {
        let used: BTreeSet<usize> = images.iter().map(|image| image.label).collect();
        used.into_iter()
            .map(|label| self.labels[label].clone())
            .collect()
    }

    /// The data set. Without test images the validation images are for testing; without either, the
    /// images are split.
    pub(super) fn splits(
        mut self,
        path: &Path,
        options: &SplitOptions,
    ) -> Result<Splits, DataError> {
        let name = path.display().to_string();
        let (part, train) = self.take(&[Part::Train, Part::Unknown]);
        let used = self.used(&train);
        let classes: Vec<String> = match self.classes.take() {
            // A class without training images cannot be learnt.
            Some(named) => named
                .into_iter()
                .filter(|class| used.contains(class))
                .collect(),
            None => used.into_iter().collect(),
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
        let train = self.image_set(train, &classes)?;
        let (tested, test) = self.take(&[Part::Test, Part::Valid]);
        let (_, valid) = self.take(&[Part::Valid]);
        let mut origin = std::mem::take(&mut self.origin);
        if test.is_empty() {
            return Splits::of_whole(train, name, origin, options);
        }
        if tested == Part::Valid {
            let note = "no test part: the validation images are used for testing";
            origin.made.push(note.to_owned());
        }
        let valid = (!valid.is_empty()).then_some(valid);
        origin.from = From {
            train: self.from(part),
            valid: valid.as_ref().and_then(|_| self.from(Part::Valid)),
            test: self.from(tested),
        };
        let valid = valid.map(|valid| self.image_set(valid, &classes));
        let splits = Splits {
            name,
            train,
            valid: valid.transpose()?,
            test: self.image_set(test, &classes)?,
            origin,
        };
        splits.folded(options)
    }

    /// The images to test with: the test images, otherwise the validation images, otherwise all.
    pub(super) fn into_test(mut self, path: &Path) -> Result<(ImageSet, Origin), DataError> {
        let (part, images) = self.take(&[Part::Test, Part::Valid, Part::Unknown, Part::Train]);
        if images.is_empty() {
            return Err(DataError::NoTraining(path.to_owned()));
        }
        let used = self.used(&images);
        let named = self.classes.take();
        let classes = named.unwrap_or_else(|| used.into_iter().collect());
        let mut origin = std::mem::take(&mut self.origin);
        origin.from.test = self.from(part);
        Ok((self.image_set(images, &classes)?, origin))
    }

    /// The images of a part, whose labels must be among `classes`.
    fn image_set(&self, images: Vec<Labelled>, classes: &[String]) -> Result<ImageSet, DataError> {
        let pairs = classes.iter().map(String::as_str).zip(0..);
        let of_class: HashMap<&str, usize> = pairs.collect();
        let labels = self
            .labels
            .iter()
            .map(|label| of_class.get(label.as_str()).copied());
        let labels: Vec<Option<usize>> = labels.collect();
        let sample = |image: Labelled| match labels[image.label] {
            Some(label) => Ok(Sample {
                group: image.group,
                ..Sample::new(image.source, label)
            }),
            None => Err(DataError::UnknownLabel {
                place: image.place.to_string(),
                label: self.labels[image.label].clone(),
                classes: classes.to_vec(),
            }),
        };
        Ok(ImageSet {
            classes: classes.to_vec(),
            samples: images.into_iter().map(sample).collect::<Result<_, _>>()?,
        })
    }
}
