//! IDX files: the format of MNIST and Fashion-MNIST.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::error::DataError;
use crate::set::{ImageSet, Sample, Source, Splits};

/// What to take from a folder of IDX files.
#[derive(Debug, Clone, PartialEq)]
pub struct IdxOptions<'a> {
    /// The labels to keep, and their names; they become the classes in this order.
    pub classes: &'a [(u8, &'a str)],
    /// Training images of each class.
    pub train_per_class: usize,
    /// Test images of each class.
    pub test_per_class: usize,
    /// Seed of the choice.
    pub seed: u64,
}

/// Largest file that is read, bytes, decompressed: far above MNIST's 47 MB.
const LIMIT: u64 = 1 << 30;

/// Opens `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the `t10k` pair of a folder,
/// plain or with the ending `.gz`.
///
/// # Errors
///
/// A missing file, or one that is no IDX file or cut short.
pub fn open_idx(folder: &Path, options: &IdxOptions<'_>) -> Result<Splits, DataError> {
    let part = |name: &str, count: usize| -> Result<ImageSet, DataError> {
        Ok(read_part(folder, name, options.classes)?.take_per_class(count, options.seed))
    };
    Ok(Splits {
        name: folder.display().to_string(),
        train: part("train", options.train_per_class)?,
        valid: None,
        test: part("t10k", options.test_per_class)?,
    })
}

fn read_part(folder: &Path, part: &str, classes: &[(u8, &str)]) -> Result<ImageSet, DataError> {
    let ([count, height, width], images) = read(folder, &format!("{part}-images-idx3-ubyte"))?;
    let ([labels_count], labels) = read(folder, &format!("{part}-labels-idx1-ubyte"))?;
    if count != labels_count {
        let path = folder.join(format!("{part}-labels-idx1-ubyte"));
        let reason = format!("it has {labels_count} labels for {count} images");
        return Err(DataError::Idx { path, reason });
    }
    let mut samples = Vec::new();
    for (i, image) in images.chunks((height * width) as usize).enumerate() {
        if let Some(label) = classes.iter().position(|(digit, _)| *digit == labels[i]) {
            let name = format!("{part} image {i} of {}", folder.display());
            let source = Source::Grey {
                name,
                height,
                width,
                values: image.into(),
            };
            samples.push(Sample { source, label });
        }
    }
    let classes = classes.iter().map(|(_, name)| (*name).to_owned()).collect();
    Ok(ImageSet { classes, samples })
}

/// The sizes and the bytes of a file of `N` dimensions.
fn read<const N: usize>(folder: &Path, name: &str) -> Result<([u32; N], Vec<u8>), DataError> {
    let plain = folder.join(name);
    let zipped = folder.join(format!("{name}.gz"));
    let path = if plain.is_file() { plain } else { zipped };
    let io = |source| DataError::Io {
        path: path.clone(),
        source,
    };
    let bad = |reason: String| DataError::Idx {
        path: path.clone(),
        reason,
    };
    let file = File::open(&path).map_err(io)?;
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(file)
            .take(LIMIT)
            .read_to_end(&mut bytes)
            .map_err(io)?;
    } else {
        file.take(LIMIT).read_to_end(&mut bytes).map_err(io)?;
    }
    let start = 4 + 4 * N;
    if bytes.len() < start {
        return Err(bad(format!(
            "it has {} bytes, fewer than its header",
            bytes.len()
        )));
    }
    if bytes[..3] != [0, 0, 8] || usize::from(bytes[3]) != N {
        return Err(bad(format!(
            "it does not start as one of {N} dimensions of bytes"
        )));
    }
    let sizes: [u32; N] = std::array::from_fn(|i| {
        let at = 4 + 4 * i;
        u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    });
    let wanted = sizes
        .iter()
        .try_fold(1_u64, |all, size| all.checked_mul(u64::from(*size)));
    let body = bytes.split_off(start);
    if wanted != Some(body.len() as u64) || sizes.contains(&0) {
        return Err(bad(format!(
            "it claims {sizes:?} values and holds {}",
            body.len()
        )));
    }
    Ok((sizes, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, dimensions: &[u32], values: &[u8]) {
        let mut bytes = vec![0, 0, 8, u8::try_from(dimensions.len()).unwrap()];
        bytes.extend(dimensions.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(values);
        std::fs::write(folder.join(name), bytes).unwrap();
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "t10k"] {
            write(
                folder.path(),
                &format!("{part}-images-idx3-ubyte"),
                &[3, 1, 2],
                &[1, 2, 3, 4, 5, 6],
            );
            write(
                folder.path(),
                &format!("{part}-labels-idx1-ubyte"),
                &[3],
                &[7, 9, 7],
            );
        }
        folder
    }

    const OPTIONS: IdxOptions<'_> = IdxOptions {
        classes: &[(9, "nine"), (7, "seven")],
        train_per_class: 5,
        test_per_class: 1,
        seed: 0,
    };

    #[test]
    fn labels_become_the_classes_named() {
        let folder = folder();
        let splits = open_idx(folder.path(), &OPTIONS).unwrap();
        assert_eq!(splits.classes(), ["nine", "seven"]);
        assert_eq!(splits.train.per_class(), [1, 2]);
        assert_eq!(splits.test.per_class(), [1, 1]);
    }

    #[test]
    fn wrong_files_are_named() {
        let folder = folder();
        let images = folder.path().join("train-images-idx3-ubyte");
        let cut = std::fs::read(&images).unwrap();
        std::fs::write(&images, &cut[..cut.len() - 1]).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(
            error.ends_with("it claims [3, 1, 2] values and holds 5"),
            "{error}"
        );
        std::fs::write(&images, b"not an IDX file at all").unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(
            error.contains("does not start as one of 3 dimensions"),
            "{error}"
        );
    }
}
