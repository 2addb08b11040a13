//! Checking the images of a data set.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use finetune_files::quoted;
use image::ImageFormat;
use rayon::prelude::*;
use serde::Serialize;

use super::duplicates::{Candidate, Duplicates, Look, duplicates};
use crate::images::{Preprocess, UnusableImage, read, read_header};
use crate::sources::{Source, Splits, Understood};

/// What is in a data set, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The splits `train`, `valid` and `test`, with the number of images per class.
    pub parts: Vec<Part>,
    /// Images that cannot be used, in order.
    pub broken: Vec<UnusableImage>,
    /// Images that are the same, or nearly the same.
    pub duplicates: Vec<Duplicates>,
    /// Number of usable images per file format.
    pub formats: BTreeMap<String, usize>,
    /// Files whose extension is that of another format than their content.
    pub wrong_endings: Vec<UnusableImage>,
    /// Shorter sides of the usable images in pixels: smallest, median, largest.
    pub shorter_sides: Option<[usize; 3]>,
    /// How the data set was understood.
    pub understood: Understood,
}

/// One split of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// `train`, `valid` or `test`.
    pub name: &'static str,
    /// Number of images per class.
    pub classes: BTreeMap<String, usize>,
}

/// A usable image.
struct Usable {
    name: String,
    format: Option<ImageFormat>,
    /// The format that the extension stands for, if it is another one.
    other_format: Option<ImageFormat>,
    /// Shorter side in pixels.
    shorter: usize,
}

/// Decodes all images of a data set and looks for what is wrong: images that cannot be used,
/// duplicates, wrong extensions.
///
/// Near duplicates are copies of another size or quality, or of slightly different brightness.
#[must_use]
pub fn check(splits: &Splits) -> Check {
    let mut named = vec![("train", &splits.train)];
    named.extend(splits.valid.as_ref().map(|valid| ("valid", valid)));
    named.push(("test", &splits.test));
    let limit = Preprocess::square(1).max_pixels;
    let all: Vec<_> = named
        .iter()
        .enumerate()
        .flat_map(|(split, (_, set))| set.samples.iter().map(move |sample| (split, sample)))
        .collect();
    // A manifest may name a file many times; it is decoded once.
    let mut indices: HashMap<&Path, usize> = HashMap::new();
    let mut different = Vec::new();
    let mut index_of = Vec::with_capacity(all.len());
    for (_, sample) in &all {
        let next = different.len();
        let index = match &sample.source {
            Source::File(path) => *indices.entry(path).or_insert(next),
            _ => next,
        };
        if index == next {
            different.push(&sample.source);
        }
        index_of.push(index);
    }
    let outcomes: Vec<Result<(Usable, Arc<Look>), UnusableImage>> = different
        .par_iter()
        .map(|source| look(source, limit))
        .collect();
    let (mut usable, mut candidates, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for ((split, sample), index) in all.iter().zip(index_of) {
        match &outcomes[index] {
            Ok((image, look)) => {
                let name = image.name.clone();
                usable.push(image);
                candidates.push(Candidate::new(name, *split, sample.label, Arc::clone(look)));
            }
            Err(image) => broken.push(image.clone()),
        }
    }
    let mut sides: Vec<usize> = usable.iter().map(|image| image.shorter).collect();
    sides.sort_unstable();
    let mut formats = BTreeMap::new();
    for format in usable.iter().filter_map(|image| image.format) {
        *formats.entry(title(format)).or_insert(0) += 1;
    }
    let wrong_endings = usable.iter().filter_map(|image| {
        let (format, other) = (image.format?, image.other_format?);
        Some(UnusableImage {
            image: image.name.clone(),
            reason: format!("it is {}, not {}", title(format), title(other)),
        })
    });
    let wrong_endings = wrong_endings.collect();
    let parts = named.into_iter().map(|(name, set)| Part {
        name,
        classes: set.classes.iter().cloned().zip(set.per_class()).collect(),
    });
    Check {
        parts: parts.collect(),
        broken,
        formats,
        wrong_endings,
        duplicates: duplicates(&candidates),
        shorter_sides: (!sides.is_empty())
            .then(|| [sides[0], sides[sides.len() / 2], sides[sides.len() - 1]]),
        understood: splits.understood(),
    }
}

/// Decodes an image.
fn look(source: &Source, limit: u64) -> Result<(Usable, Arc<Look>), UnusableImage> {
    let name = source.name();
    let header = read_header(source, limit);
    match header.and_then(|header| Ok((header, read(source, limit)?))) {
        Ok((header, image)) => {
            let format = header.format;
            let usable = Usable {
                name,
                format,
                other_format: format.and_then(|format| other_format(source, format)),
                shorter: image.width.min(image.height),
            };
            Ok((usable, Arc::new(Look::new(&image))))
        }
        Err(error) => Err(UnusableImage {
            image: name,
            reason: error.to_string(),
        }),
    }
}

/// The format that the extension of a file stands for, if it is not `format`.
fn other_format(source: &Source, format: ImageFormat) -> Option<ImageFormat> {
    let Source::File(path) = source else {
        return None;
    };
    ImageFormat::from_path(path)
        .ok()
        .filter(|other| *other != format)
}

fn title(format: ImageFormat) -> String {
    format!("{format:?}").to_uppercase()
}

impl Check {
    /// Whether results on this data set would be wrong: an image cannot be used, or the same image is in
    /// several splits or has different labels.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.broken.is_empty() || self.duplicates.iter().any(Duplicates::is_error)
    }

    /// What to do about what is wrong, one sentence each.
    #[must_use]
    pub fn suggestions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let broken = self.broken.len();
        if broken > 0 {
            found.push(format!(
                "remove or replace the {broken} image(s) that cannot be read"
            ));
        }
        if !self.wrong_endings.is_empty() {
            found.push(format!(
                "{} file(s) have the extension of another format; they are read by their content, but \
                 other programs may fail on them",
                self.wrong_endings.len()
            ));
        }
        found.extend(self.about_duplicates());
        found.extend(self.about_classes());
        if let Some([smallest, median, _]) = self.shorter_sides
            && smallest.saturating_mul(4) < median
        {
            found.push(format!(
                "the shorter side of the smallest image is {smallest} pixels, the median is {median}: \
                 is that image a thumbnail?"
            ));
        }
        found
    }

    fn about_duplicates(&self) -> Vec<String> {
        type Test = fn(&&Duplicates) -> bool;
        let kinds: [(Test, &str); 6] = [
            (
                |group| group.exact && group.leak,
                "group(s) of identical images are in several splits: leave each in one split, or test \
                 images will have been learnt from",
            ),
            (
                |group| group.exact && group.labels_differ,
                "group(s) of identical images have different labels: correct the labels",
            ),
            (
                |group| group.exact && !group.leak && !group.labels_differ,
                "group(s) of identical images within a split teach the model little",
            ),
            (
                |group| !group.exact && group.leak,
                "group(s) of images that look nearly the same are in several splits: have a look; if they \
                 are copies, leave each in one split",
            ),
            (
                |group| !group.exact && !group.leak && group.labels_differ,
                "group(s) of images that look nearly the same have different labels: have a look at the \
                 labels",
            ),
            (
                |group| !group.exact && !group.leak && !group.labels_differ,
                "group(s) of images within a split look nearly the same; copies teach the model little",
            ),
        ];
        let counted = kinds.into_iter().filter_map(|(test, what)| {
            let count = self.duplicates.iter().filter(test).count();
            (count > 0).then(|| format!("{count} {what}"))
        });
        counted.collect()
    }

    fn about_classes(&self) -> Option<String> {
        let classes = &self.parts.first()?.classes;
        let (most, many) = classes.iter().max_by_key(|(_, count)| **count)?;
        let (least, few) = classes.iter().min_by_key(|(_, count)| **count)?;
        let (most, least) = (quoted(most), quoted(least));
        if *many >= few.saturating_mul(3) {
            Some(format!(
                "{most} has {many} training images and {least} {few}: add some of {least}, or train with \
                 --sampling balanced or --class-weights balanced"
            ))
        } else if *few < 20 {
            Some(format!(
                "{least} has {few} training images; 20 or more per class are a good start"
            ))
        } else {
            None
        }
    }
}
