//! Checking the images of a data set.

use std::collections::BTreeMap;

use image::ImageFormat;
use rayon::prelude::*;
use serde::Serialize;

use super::duplicates::{Candidate, Duplicates, duplicates};
use crate::images::{Preprocess, UnusableImage, read, read_header};
use crate::sources::{Source, Splits};

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
/// Near duplicates are copies of another size or quality, or of slightly different brightness. All
/// pairs of images are compared.
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
    let outcomes: Vec<Result<(Usable, Candidate), UnusableImage>> = all
        .par_iter()
        .map(|(split, sample)| {
            let name = sample.source.name();
            let header = read_header(&sample.source, limit);
            match header.and_then(|header| Ok((header, read(&sample.source, limit)?))) {
                Ok((header, image)) => {
                    let usable = Usable {
                        name: name.clone(),
                        format: header.format,
                        other_format: header
                            .format
                            .and_then(|format| other_format(&sample.source, format)),
                        shorter: image.width.min(image.height),
                    };
                    Ok((usable, Candidate::new(name, *split, sample.label, &image)))
                }
                Err(error) => Err(UnusableImage {
                    image: name,
                    reason: error.to_string(),
                }),
            }
        })
        .collect();
    let (mut usable, mut candidates, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok((image, candidate)) => {
                usable.push(image);
                candidates.push(candidate);
            }
            Err(image) => broken.push(image),
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
    /// Whether results on this data set would be wrong: an image cannot be used, or duplicates are in
    /// several splits or have different labels.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.broken.is_empty()
            || self
                .duplicates
                .iter()
                .any(|group| group.leak || group.labels_differ)
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
        let count = |which: fn(&&Duplicates) -> bool| self.duplicates.iter().filter(which).count();
        let leaks = count(|group| group.leak);
        if leaks > 0 {
            found.push(format!(
                "{leaks} group(s) of (near) duplicates are in several splits: leave each group in one \
                 split, or test images will have been learnt from"
            ));
        }
        let labels = count(|group| group.labels_differ);
        if labels > 0 {
            found.push(format!(
                "{labels} group(s) of (near) duplicates have different labels: correct the labels"
            ));
        }
        let rest = count(|group| !group.leak && !group.labels_differ);
        if rest > 0 {
            found.push(format!(
                "{rest} group(s) of (near) duplicates within a split teach the model little"
            ));
        }
        if let Some(train) = self.parts.first() {
            let most = train.classes.iter().max_by_key(|(_, count)| **count);
            let least = train.classes.iter().min_by_key(|(_, count)| **count);
            if let (Some((most, many)), Some((least, few))) = (most, least) {
                if *many >= 3 * *few {
                    found.push(format!(
                        "`{most}` has {many} training images and `{least}` {few}: add some of \
                         `{least}`, or take as many of each with --train-per-class {few}"
                    ));
                } else if *few < 20 {
                    found.push(format!(
                        "`{least}` has {few} training images; 20 or more per class are a good start"
                    ));
                }
            }
        }
        if let Some([smallest, median, _]) = self.shorter_sides
            && smallest * 4 < median
        {
            found.push(format!(
                "the shorter side of the smallest image is {smallest} pixels, the median is {median}: \
                 is that image a thumbnail?"
            ));
        }
        found
    }
}
