//! Finding images that are the same, or nearly the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
    /// Their names. Of images that are the same, a group of near duplicates has only the first.
    pub images: Vec<String>,
}

impl Duplicates {
    /// Whether results would be wrong: the same image is in several splits or has several labels. What
    /// is nearly the same may be two images that look alike.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.exact && (self.leak || self.labels_differ)
    }
}

/// What is compared of an image.
pub(super) struct Candidate {
    name: String,
    /// Index of its split.
    split: usize,
    label: usize,
    /// Images of the same file share it.
    look: Arc<Look>,
}

/// What an image looks like.
pub(super) struct Look {
    digest: [u8; 32],
    fingerprint: Fingerprint,
}

impl Look {
    pub(super) fn new(image: &Raster) -> Self {
        Self {
            digest: digest(image),
            fingerprint: Fingerprint::new(image),
        }
    }
}

/// A small picture of an image, and where it gets darker from left to right and from top to bottom
/// (difference hash: Krawetz 2013, "Kind of Like That").
struct Fingerprint {
    bits: [u64; 8],
    /// Number of the bits that noise does not decide.
    telling: u32,
    /// `[SIDE, SIDE, 3]` values.
    small: Vec<u8>,
    /// Sum of `small`. The sums of near duplicates are near each other.
    sum: u64,
}

/// Side of the small picture in pixels.
const SIDE: usize = 17;
/// Most bits, of 512, in which near duplicates differ, and most of the telling bits of either of them.
const MOST_BITS: u32 = 24;
const MOST_SHARE: u32 = 20;
/// Fewest bits that are not decided by noise: below, as in a picture of one colour, looking alike says
/// nothing.
const FEWEST_TELLING: u32 = 64;
/// Smallest difference of neighbours, in levels of 255, that is not noise.
const NOISE: u8 = 3;
/// Largest sum of the differences of the small pictures of near duplicates: a mean of 3 levels of 255.
const MOST_DIFFERENCE: u64 = 3 * (SIDE * SIDE * 3) as u64;

impl Candidate {
    pub(super) fn new(name: String, split: usize, label: usize, look: Arc<Look>) -> Self {
        Self {
            name,
            split,
            label,
            look,
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
        let mut telling = 0;
        for row in 0..16 {
            for column in 0..16 {
                let index = row * 16 + column;
                let at = |row: usize, column: usize| grey[row * SIDE + column];
                let here = at(row, column);
                for (half, next) in [at(row, column + 1), at(row + 1, column)]
                    .into_iter()
                    .enumerate()
                {
                    if here > next {
                        bits[4 * half + index / 64] |= 1 << (index % 64);
                    }
                    telling += u32::from(here.abs_diff(next) >= NOISE);
                }
            }
        }
        let sum = small.iter().map(|value| u64::from(*value)).sum();
        Self {
            bits,
            telling,
            small,
            sum,
        }
    }

    fn is_near(&self, other: &Self) -> bool {
        let telling = self.telling.min(other.telling);
        let most = MOST_BITS.min(telling / MOST_SHARE);
        let pairs = self.bits.iter().zip(other.bits);
        let apart: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        if telling < FEWEST_TELLING || apart > most {
            return false;
        }
        let pairs = self.small.iter().zip(&other.small);
        let difference: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        difference <= MOST_DIFFERENCE
    }
}

/// Groups of duplicates: those that are the same, then those that are nearly the same.
pub(super) fn duplicates(images: &[Candidate]) -> Vec<Duplicates> {
    let mut by_digest: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (index, image) in images.iter().enumerate() {
        by_digest.entry(image.look.digest).or_default().push(index);
    }
    // Of images that are the same, only the first is compared with others.
    let mut first: Vec<usize> = by_digest.values().map(|same| same[0]).collect();
    let mut same: Vec<Vec<usize>> = by_digest.into_values().collect();
    same.retain(|group| group.len() > 1);
    same.sort_unstable();
    // In the order of their sums, near duplicates are near each other, so that few pairs are compared.
    first.sort_unstable_by_key(|&index| (images[index].look.fingerprint.sum, index));
    let near: Vec<(usize, usize)> = first
        .par_iter()
        .enumerate()
        .flat_map_iter(|(position, &a)| {
            let one = &images[a].look.fingerprint;
            let rest = first[position + 1..].iter();
            let rest = rest.map(|&b| (b, &images[b].look.fingerprint));
            let close = rest.take_while(|(_, other)| other.sum - one.sum <= MOST_DIFFERENCE);
            close
                .filter(|(_, other)| one.is_near(other))
                .map(move |(b, _)| (a, b))
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
    for index in first {
        let root = root(&mut parents, index);
        groups.entry(root).or_default().push(index);
    }
    let alike = groups.into_values().filter(|group| group.len() > 1);
    let all = same.into_iter().map(|group| (true, group));
    all.chain(alike.map(|group| (false, group)))
        .map(|(exact, mut group)| {
            group.sort_unstable();
            let one = &images[group[0]];
            let differs =
                |of: fn(&Candidate) -> usize| group.iter().any(|i| of(&images[*i]) != of(one));
            Duplicates {
                exact,
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

    fn flat(color: [u8; 3]) -> Raster {
        Raster {
            height: 20,
            width: 20,
            pixels: color.repeat(400),
        }
    }

    #[test]
    fn pictures_of_one_colour_are_not_near_duplicates() {
        // Neither of nearly the same colour nor of the same brightness.
        for (a, b) in [([100, 20, 20], [101, 20, 20]), ([200, 0, 0], [0, 102, 0])] {
            assert!(!Fingerprint::new(&flat(a)).is_near(&Fingerprint::new(&flat(b))));
        }
        // A picture whose colours are exchanged looks the same in grey.
        let mut exchanged = picture(64, 0);
        for pixel in exchanged.pixels.as_chunks_mut::<3>().0 {
            let grey = pixel[0];
            *pixel = [grey / 2, grey, 255 - grey / 2];
        }
        assert!(!Fingerprint::new(&picture(64, 0)).is_near(&Fingerprint::new(&exchanged)));
    }

    #[test]
    fn exact_and_near_duplicates_are_groups_of_their_own() {
        let candidate = |name: &str, split, label, image: &Raster| {
            Candidate::new(name.to_owned(), split, label, Arc::new(Look::new(image)))
        };
        let (one, other) = (picture(64, 0), picture(200, 0));
        let images = [
            candidate("a", 0, 0, &one),
            candidate("b", 0, 0, &flat([1; 3])),
            candidate("c", 1, 0, &one),
            candidate("d", 0, 1, &other),
            candidate("e", 0, 0, &flat([2; 3])),
        ];
        let found = duplicates(&images);
        let group = |exact, leak, labels_differ, names: [&str; 2]| Duplicates {
            exact,
            leak,
            labels_differ,
            images: names.map(str::to_owned).to_vec(),
        };
        assert_eq!(
            found,
            [
                group(true, true, false, ["a", "c"]),
                group(false, false, true, ["a", "d"]),
            ]
        );
        assert_eq!(
            found.iter().map(Duplicates::is_error).collect::<Vec<_>>(),
            [true, false]
        );
    }
}
