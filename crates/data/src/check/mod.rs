//! Looking through a data set before anything is learnt from it.

pub(crate) mod survey;

use std::collections::{BTreeMap, HashMap};

use image::ImageFormat;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::images::decode::{look, read};
use crate::images::prepare::{Filter, Preprocess, Raster};
use crate::images::resize::resize;
use crate::sources::set::{Source, Splits};

/// What is in a data set, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The parts, `train`, `valid` and `test`, and their images of each class.
    pub parts: Vec<Part>,
    /// Images that cannot be used, in order.
    pub broken: Vec<Broken>,
    /// Images that are the same, or nearly so.
    pub duplicates: Vec<Duplicates>,
    /// Images of each format that can be used, by its name.
    pub formats: BTreeMap<String, usize>,
    /// Files whose ending is another format's than their content.
    pub wrong_endings: Vec<Broken>,
    /// Shorter sides of the images that can be used, pixels: smallest, median, largest.
    pub shorter_sides: Option<[usize; 3]>,
}

/// One part of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// `train`, `valid` or `test`.
    pub name: &'static str,
    /// Images of each class, by its name.
    pub classes: BTreeMap<String, usize>,
}

/// An image that cannot be used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Broken {
    /// Its name.
    pub image: String,
    /// Why.
    pub reason: String,
}

/// Images that are the same, or nearly so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duplicates {
    /// Whether every pixel is the same.
    pub exact: bool,
    /// Whether they stand in several parts: what is tested with was learnt from.
    pub leak: bool,
    /// Whether they have several labels.
    pub labels_differ: bool,
    /// Their names.
    pub images: Vec<String>,
}

/// What is kept of an image.
struct Seen {
    name: String,
    format: Option<ImageFormat>,
    /// The format that its ending says, where that is another one.
    ending: Option<ImageFormat>,
    part: usize,
    label: usize,
    shorter: usize,
    digest: [u8; 32],
    print: Print,
}

/// A small picture of an image, and where it grows darker from left to right and from top to bottom
/// (Krawetz 2013, "Kind of Like That", difference hash).
struct Print {
    bits: [u64; 8],
    grey: Vec<u8>,
}

/// Side of the small picture.
const SIDE: usize = 17;
/// Bits of 512 that near duplicates may differ in.
const BITS: u32 = 24;
/// Mean difference of their small pictures, levels of 255.
const LEVELS: f64 = 3.0;

/// Decodes every image of a data set and looks for what is wrong.
///
/// Near duplicates are images of other sizes, qualities or slightly other light; all pairs are
/// compared.
#[must_use]
pub fn check(splits: &Splits) -> Check {
    let mut named = vec![("train", &splits.train)];
    named.extend(splits.valid.as_ref().map(|valid| ("valid", valid)));
    named.push(("test", &splits.test));
    let limit = Preprocess::square(1).max_pixels;
    let all: Vec<_> = named
        .iter()
        .enumerate()
        .flat_map(|(part, (_, set))| set.samples.iter().map(move |sample| (part, sample)))
        .collect();
    let outcomes: Vec<Result<Seen, Broken>> = all
        .par_iter()
        .map(|(part, sample)| {
            let header = look(&sample.source, limit);
            match header.and_then(|header| Ok((header, read(&sample.source, limit)?))) {
                Ok((header, image)) => Ok(Seen {
                    name: sample.source.name(),
                    format: header.format,
                    ending: header
                        .format
                        .and_then(|format| other_ending(&sample.source, format)),
                    part: *part,
                    label: sample.label,
                    shorter: image.width.min(image.height),
                    digest: digest(&image),
                    print: print(&image),
                }),
                Err(error) => Err(Broken {
                    image: sample.source.name(),
                    reason: error.to_string(),
                }),
            }
        })
        .collect();
    let (mut seen, mut broken) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(image) => seen.push(image),
            Err(image) => broken.push(image),
        }
    }
    let mut sides: Vec<usize> = seen.iter().map(|image| image.shorter).collect();
    sides.sort_unstable();
    let mut formats = BTreeMap::new();
    for format in seen.iter().filter_map(|image| image.format) {
        *formats.entry(title(format)).or_insert(0) += 1;
    }
    let wrong_endings = seen.iter().filter_map(|image| {
        let (format, ending) = (image.format?, image.ending?);
        Some(Broken {
            image: image.name.clone(),
            reason: format!("it is {}, not {}", title(format), title(ending)),
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
        duplicates: duplicates(&seen),
        shorter_sides: (!sides.is_empty())
            .then(|| [sides[0], sides[sides.len() / 2], sides[sides.len() - 1]]),
    }
}

/// The format that a file's ending says, where it is not that one.
fn other_ending(source: &Source, format: ImageFormat) -> Option<ImageFormat> {
    let Source::File(path) = source else {
        return None;
    };
    ImageFormat::from_path(path)
        .ok()
        .filter(|ending| *ending != format)
}

fn title(format: ImageFormat) -> String {
    format!("{format:?}").to_uppercase()
}

fn digest(image: &Raster) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(image.width.to_le_bytes());
    hasher.update(&image.pixels);
    hasher.finalize().into()
}

fn print(image: &Raster) -> Print {
    let small = resize(image.view(), [SIDE, SIDE], Filter::Bilinear);
    // ITU-R BT.601, as PIL's mode L.
    #[allow(clippy::cast_possible_truncation)]
    let luma = |rgb: &[u8; 3]| {
        ((u32::from(rgb[0]) * 299 + u32::from(rgb[1]) * 587 + u32::from(rgb[2]) * 114) / 1000) as u8
    };
    let grey: Vec<u8> = small.as_chunks::<3>().0.iter().map(luma).collect();
    let mut bits = [0; 8];
    for row in 0..16 {
        for column in 0..16 {
            let index = row * 16 + column;
            let at = |row: usize, column: usize| grey[row * SIDE + column];
            if at(row, column) > at(row, column + 1) {
                bits[index / 64] |= 1 << (index % 64);
            }
            if at(row, column) > at(row + 1, column) {
                bits[4 + index / 64] |= 1 << (index % 64);
            }
        }
    }
    Print { bits, grey }
}

impl Print {
    #[allow(clippy::cast_precision_loss)]
    fn is_near(&self, other: &Self) -> bool {
        let pairs = self.bits.iter().zip(other.bits);
        let apart: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        if apart > BITS {
            return false;
        }
        let pairs = self.grey.iter().zip(&other.grey);
        let levels: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        levels as f64 <= LEVELS * self.grey.len() as f64
    }
}

fn duplicates(seen: &[Seen]) -> Vec<Duplicates> {
    let mut by_digest: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (index, image) in seen.iter().enumerate() {
        by_digest.entry(image.digest).or_default().push(index);
    }
    // The first of each kind stands for the others.
    let mut first: Vec<usize> = by_digest.values().map(|same| same[0]).collect();
    first.sort_unstable();
    let near: Vec<(usize, usize)> = first
        .par_iter()
        .enumerate()
        .flat_map_iter(|(position, &a)| {
            let rest = first[position + 1..].iter();
            rest.filter(move |&&b| seen[a].print.is_near(&seen[b].print))
                .map(move |&b| (a, b))
        })
        .collect();
    // What is near to one that is near belongs together: each image leads to an earlier one of its
    // group, the first one to itself (Tarjan 1975, with halved paths).
    let mut leads: Vec<usize> = (0..seen.len()).collect();
    let leader = |leads: &mut Vec<usize>, mut index: usize| {
        while leads[index] != index {
            leads[index] = leads[leads[index]];
            index = leads[index];
        }
        index
    };
    for (a, b) in near {
        let (a, b) = (leader(&mut leads, a), leader(&mut leads, b));
        leads[a.max(b)] = a.min(b);
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for same in by_digest.values() {
        let leader = leader(&mut leads, same[0]);
        groups.entry(leader).or_default().extend(same);
    }
    let several = groups.into_values().filter(|images| images.len() > 1);
    several
        .map(|mut images| {
            images.sort_unstable();
            let one = &seen[images[0]];
            let differs = |of: fn(&Seen) -> usize| images.iter().any(|i| of(&seen[*i]) != of(one));
            Duplicates {
                exact: images.iter().all(|index| seen[*index].digest == one.digest),
                leak: differs(|image| image.part),
                labels_differ: differs(|image| image.label),
                images: images
                    .iter()
                    .map(|index| seen[*index].name.clone())
                    .collect(),
            }
        })
        .collect()
}

impl Check {
    /// Whether results on this data set would be wrong: broken images, or leaks.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.broken.is_empty()
            || self
                .duplicates
                .iter()
                .any(|group| group.leak || group.labels_differ)
    }

    /// What to do about it, a sentence each.
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
                "{} file(s) have another format's ending; they are read by their content, other \
                 programs may stumble",
                self.wrong_endings.len()
            ));
        }
        let count = |which: fn(&&Duplicates) -> bool| self.duplicates.iter().filter(which).count();
        let leaks = count(|group| group.leak);
        if leaks > 0 {
            found.push(format!(
                "keep the {leaks} group(s) of (near) duplicates that stand in several parts in one of \
                 them: the test would know what was learnt"
            ));
        }
        let labels = count(|group| group.labels_differ);
        if labels > 0 {
            found.push(format!(
                "give the {labels} group(s) with several labels the right one"
            ));
        }
        let rest = count(|group| !group.leak && !group.labels_differ);
        if rest > 0 {
            found.push(format!(
                "{rest} group(s) of (near) duplicates within a part teach little new"
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
                        "`{least}` has {few} training images; 20 or more of each class are a start"
                    ));
                }
            }
        }
        if let Some([smallest, median, _]) = self.shorter_sides
            && smallest * 4 < median
        {
            found.push(format!(
                "the smallest image is {smallest} pixels wide or high, the usual one {median}: is it a \
                 thumbnail?"
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::cast_sign_loss)]
    fn picture(side: usize, light: u8) -> Raster {
        let value = |index: usize| {
            // The same waves whatever the size.
            let share = |place: usize| place as f64 / side as f64;
            let (x, y) = (share(index % side), share(index / side));
            let value = 100.0 + 60.0 * (7.0 * x).sin() + 40.0 * (5.0 * y + 3.0 * x).cos();
            value as u8 + light
        };
        Raster {
            height: side,
            width: side,
            pixels: (0..side * side)
                .flat_map(|index| [value(index); 3])
                .collect(),
        }
    }

    #[test]
    fn size_and_light_make_no_other_picture_but_mirroring_does() {
        let original = print(&picture(64, 0));
        assert!(original.is_near(&print(&picture(200, 0))));
        assert!(original.is_near(&print(&picture(64, 2))));
        assert!(!original.is_near(&print(&picture(64, 30))));
        let mut mirrored = picture(64, 0);
        for row in mirrored.pixels.chunks_exact_mut(64 * 3) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        assert!(!original.is_near(&print(&mirrored)));
    }
}
