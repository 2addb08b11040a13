//! Finding images that are the same, or nearly the same.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::images::Filter;
use crate::images::raster::Raster;
use crate::images::resize::resize;

/// Images that are the same, or nearly the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duplicates {
    /// Whether all pixels are the same.
    pub exact: bool,
    /// Whether they are in several splits, so that test images were learnt from.
    pub leak: bool,
    /// Whether they have different labels.
    pub labels_differ: bool,
    /// Their names.
    pub images: Vec<String>,
}

/// What is compared of an image.
pub(super) struct Candidate {
    name: String,
    /// Index of its split.
    split: usize,
    label: usize,
    digest: [u8; 32],
    fingerprint: Fingerprint,
}

/// A small grey picture of an image, and where it gets darker from left to right and from top to bottom
/// (difference hash: Krawetz 2013, "Kind of Like That").
struct Fingerprint {
    bits: [u64; 8],
    grey: Vec<u8>,
}

/// Side of the small picture in pixels.
const SIDE: usize = 17;
/// Most bits, of 512, in which near duplicates differ.
const MOST_BITS: u32 = 24;
/// Largest mean difference of the small pictures of near duplicates, in levels of 255.
const MOST_LEVELS: f64 = 3.0;

impl Candidate {
    pub(super) fn new(name: String, split: usize, label: usize, image: &Raster) -> Self {
        Self {
            name,
            split,
            label,
            digest: digest(image),
            fingerprint: Fingerprint::new(image),
        }
    }
}

fn digest(image: &Raster) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(image.width.to_le_bytes());
    hasher.update(&image.pixels);
    hasher.finalize().into()
}

impl Fingerprint {
    fn new(image: &Raster) -> Self {
        let small = resize(image.view(), [SIDE, SIDE], Filter::Bilinear);
        // ITU-R BT.601, as PIL's mode L.
        #[allow(clippy::cast_possible_truncation)]
        let luma = |rgb: &[u8; 3]| {
            ((u32::from(rgb[0]) * 299 + u32::from(rgb[1]) * 587 + u32::from(rgb[2]) * 114) / 1000)
                as u8
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
        Self { bits, grey }
    }

    #[allow(clippy::cast_precision_loss)]
    fn is_near(&self, other: &Self) -> bool {
        let pairs = self.bits.iter().zip(other.bits);
        let apart: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        if apart > MOST_BITS {
            return false;
        }
        let pairs = self.grey.iter().zip(&other.grey);
        let levels: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        levels as f64 <= MOST_LEVELS * self.grey.len() as f64
    }
}

/// Groups of duplicates. All pairs of images are compared.
pub(super) fn duplicates(images: &[Candidate]) -> Vec<Duplicates> {
    let mut by_digest: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (index, image) in images.iter().enumerate() {
        by_digest.entry(image.digest).or_default().push(index);
    }
    // Of images that are the same, only the first is compared with others.
    let mut first: Vec<usize> = by_digest.values().map(|same| same[0]).collect();
    first.sort_unstable();
    let near: Vec<(usize, usize)> = first
        .par_iter()
        .enumerate()
        .flat_map_iter(|(position, &a)| {
            let rest = first[position + 1..].iter();
            rest.filter(move |&&b| images[a].fingerprint.is_near(&images[b].fingerprint))
                .map(move |&b| (a, b))
        })
        .collect();
    // Images that are near to the same image are one group. This is a union-find forest: each image
    // points to an earlier one of its group, the first one to itself (Tarjan 1975, with path halving).
    let mut parents: Vec<usize> = (0..images.len()).collect();
    let root = |parents: &mut Vec<usize>, mut index: usize| {
        while parents[index] != index {
            parents[index] = parents[parents[index]];
            index = parents[index];
        }
        index
    };
    for (a, b) in near {
        let (a, b) = (root(&mut parents, a), root(&mut parents, b));
        parents[a.max(b)] = a.min(b);
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for same in by_digest.values() {
        let root = root(&mut parents, same[0]);
        groups.entry(root).or_default().extend(same);
    }
    let several = groups.into_values().filter(|group| group.len() > 1);
    several
        .map(|mut group| {
            group.sort_unstable();
            let one = &images[group[0]];
            let differs =
                |of: fn(&Candidate) -> usize| group.iter().any(|i| of(&images[*i]) != of(one));
            Duplicates {
                exact: group
                    .iter()
                    .all(|index| images[*index].digest == one.digest),
                leak: differs(|image| image.split),
                labels_differ: differs(|image| image.label),
                images: group
                    .iter()
                    .map(|index| images[*index].name.clone())
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::cast_sign_loss)]
    fn picture(side: usize, light: u8) -> Raster {
        let value = |index: usize| {
            // The waves are the same for every size.
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
    fn resized_and_brighter_pictures_are_near_duplicates_and_mirror_images_are_not() {
        let original = Fingerprint::new(&picture(64, 0));
        assert!(original.is_near(&Fingerprint::new(&picture(200, 0))));
        assert!(original.is_near(&Fingerprint::new(&picture(64, 2))));
        assert!(!original.is_near(&Fingerprint::new(&picture(64, 30))));
        let mut mirrored = picture(64, 0);
        for row in mirrored.pixels.chunks_exact_mut(64 * 3) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        assert!(!original.is_near(&Fingerprint::new(&mirrored)));
    }
}
