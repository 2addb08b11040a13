//! A hash that tells whether a data set is still the one that a run began with.

use std::path::{Component, Path};

use finetune_files::hexadecimal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::set::ImageSet;
use super::source::Source;
use super::splits::Splits;
use crate::error::DataError;

/// The identity of a data set: what its images are called, how large they are and which labels they
/// have, in order. No image is read, so a file that was overwritten by one of the same size is not
/// noticed; for that, decoded [images](crate::Images) have checksums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of everything below, in hexadecimal digits.
    pub sha256: String,
    /// The parts, training images first and test images last.
    pub parts: Vec<PartFingerprint>,
}

/// The identity of one part of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFingerprint {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// Number of images.
    pub images: usize,
    /// SHA-256 of the part's name, of the names of its classes, and of each image's name relative to the
    /// data set, size in bytes and label, in hexadecimal digits.
    pub sha256: String,
}

impl Splits {
    /// The identity of the data set, with the images that are in its parts now.
    ///
    /// The folder of the data set may be moved or renamed without changing it.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] if the size of a file cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, DataError> {
        let mut named = vec![("train", &self.train)];
        named.extend(self.valid.as_ref().map(|valid| ("valid", valid)));
        named.push(("test", &self.test));
        let mut whole = Sha256::new();
        let mut parts = Vec::new();
        for (name, set) in named {
            let sha256 = part(name, set, &self.origin.root)?;
            field(&mut whole, sha256.as_bytes());
            parts.push(PartFingerprint {
                name: name.to_owned(),
                images: set.len(),
                sha256,
            });
        }
        Ok(Fingerprint {
            sha256: hexadecimal(&whole.finalize()),
            parts,
        })
    }
}

fn part(name: &str, set: &ImageSet, root: &Path) -> Result<String, DataError> {
    let mut hasher = Sha256::new();
    field(&mut hasher, name.as_bytes());
    number(&mut hasher, set.classes.len());
    for class in &set.classes {
        field(&mut hasher, class.as_bytes());
    }
    // A million sizes of files take a second one after the other.
    let sizes: Vec<u64> = set
        .samples
        .par_iter()
        .with_min_len(256)
        .map(|sample| size(&sample.source))
        .collect::<Result<_, _>>()?;
    for (sample, size) in set.samples.iter().zip(sizes) {
        match &sample.source {
            Source::File(path) => field(&mut hasher, &relative(path, root)),
            Source::Memory { name, .. } => field(&mut hasher, name.as_bytes()),
            Source::Contained { container, index } => {
                field(&mut hasher, &relative(container.path(), root));
                number(&mut hasher, *index);
            }
            // They have neither a file nor a name of their own.
            Source::Grey { values, .. } => field(&mut hasher, values),
        }
        hasher.update(size.to_le_bytes());
        number(&mut hasher, sample.label);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn size(source: &Source) -> Result<u64, DataError> {
    let of_file = |path: &Path| match path.metadata() {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(DataError::Io {
            path: path.to_owned(),
            source,
        }),
    };
    match source {
        Source::File(path) => of_file(path),
        Source::Contained { container, .. } => of_file(container.path()),
        Source::Memory { bytes, .. } => Ok(bytes.len() as u64),
        // `[height, width]` as one number.
        Source::Grey { height, width, .. } => Ok(u64::from(*height) << 32 | u64::from(*width)),
    }
}

/// The names of a path below `root`, separated by `/` on every system.
fn relative(path: &Path, root: &Path) -> Vec<u8> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let names = below.components().filter(|part| *part != Component::CurDir);
    let names: Vec<&[u8]> = names
        .map(|part| part.as_os_str().as_encoded_bytes())
        .collect();
    names.join(&b'/')
}

/// Hashes bytes after their number, so that `ab`, `c` differs from `a`, `bc`.
fn field(hasher: &mut Sha256, bytes: &[u8]) {
    number(hasher, bytes.len());
    hasher.update(bytes);
}

fn number(hasher: &mut Sha256, number: usize) {
    hasher.update((number as u64).to_le_bytes());
}
