//! What the files of images contained when they were decoded.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::set::ImageSet;
use super::source::Source;

/// Checksums of the files of images, by image.
#[derive(Debug, Default)]
pub struct Contents(HashMap<u64, u32>);

impl Contents {
    /// Adds the checksums of the images of a set, in its order.
    pub fn add(&mut self, set: &ImageSet, checksums: &[Option<u32>]) {
        let known = set.keys().into_iter().zip(checksums);
        let known = known.filter_map(|(key, checksum)| Some((key, (*checksum)?)));
        self.0.extend(known);
    }

    /// The checksums of the images with these [keys](ImageSet::keys), as far as they are known.
    #[must_use]
    pub fn of(&self, keys: &[u64]) -> Vec<Option<u32>> {
        keys.iter().map(|key| self.0.get(key).copied()).collect()
    }
}

impl ImageSet {
    /// A number per image by which it is found again, within this process, in another set that was
    /// chosen from the same images.
    #[must_use]
    pub fn keys(&self) -> Vec<u64> {
        let key = |source: &Source| {
            let mut hasher = DefaultHasher::new();
            match source {
                Source::File(path) => path.hash(&mut hasher),
                Source::Contained { container, index } => {
                    (container.path(), index).hash(&mut hasher);
                }
                Source::Memory { name, .. } | Source::Grey { name, .. } => name.hash(&mut hasher),
            }
            hasher.finish()
        };
        self.samples
            .iter()
            .map(|sample| key(&sample.source))
            .collect()
    }
}
