//! Folders of IDX files: the format of MNIST and Fashion-MNIST.

use std::fmt::Display;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use finetune_files::quoted_path;
use flate2::read::GzDecoder;

use super::format::Format;
use super::origin::{From, Origin};
use super::set::{ImageSet, Sample};
use super::source::Source;
use super::splits::{SplitOptions, Splits};
use crate::error::DataError;

pub(super) const FORMAT: Format = Format {
    description: "folder of IDX files",
    extensions: &[],
    is_directory: |path| Ok(is_idx(path)),
    open: open_whole,
    open_test: |path| {
        let splits = open_whole(path, &SplitOptions::default())?;
        Ok((splits.test, splits.origin))
    },
};

/// Which images to take from a folder of IDX files.
#[derive(Debug, Clone, PartialEq)]
pub struct IdxOptions<'a> {
    /// The labels to take and their names, in the order of the classes.
    pub classes: &'a [(u8, &'a str)],
    /// Training images per class, at most.
    pub train_per_class: usize,
    /// Test images per class, at most.
    pub test_per_class: usize,
    /// Seed of the choice.
    pub seed: u64,
}

/// Most values that a header may announce: far above the 47 million of MNIST.
const LIMIT: u64 = 1 << 30;

/// Opens `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the `t10k` pair of a folder, each of
/// them perhaps compressed, with the extension `.gz`.
///
/// # Errors
///
/// A file is missing, is not an IDX file or has another length than its header says; the number of
/// labels is not that of the images; or a class has no images.
pub fn open_idx(folder: &Path, options: &IdxOptions<'_>) -> Result<Splits, DataError> {
    let part = |name: &str, count: usize| -> Result<ImageSet, DataError> {
        Ok(read_part(folder, name, options.classes)?.take_per_class(count, options.seed))
    };
    Ok(Splits {
        name: folder.display().to_string(),
        train: part("train", options.train_per_class)?,
        valid: None,
        test: part("t10k", options.test_per_class)?,
        origin: Origin {
            from: From {
                train: Some("train".to_owned()),
                valid: None,
                test: Some("t10k".to_owned()),
            },
            ..Origin::new(
                "IDX files with the parts `train` (train) and `t10k` (test)".to_owned(),
                folder,
            )
        },
    })
}

/// Opens a folder of IDX files with all of its images. The classes are the numbers of the labels.
fn open_whole(folder: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    let mut is_used = [false; 256];
    for label in labels(folder, "train")? {
        is_used[usize::from(label)] = true;
    }
    let used: Vec<u8> = (0..=u8::MAX)
        .filter(|label| is_used[usize::from(*label)])
        .collect();
    let names: Vec<String> = used.iter().map(u8::to_string).collect();
    let classes: Vec<(u8, &str)> = used
        .iter()
        .copied()
        .zip(names.iter().map(String::as_str))
        .collect();
    let idx = IdxOptions {
        classes: &classes,
        train_per_class: usize::MAX,
        test_per_class: usize::MAX,
        seed: 0,
    };
    open_idx(folder, &idx)?.folded(options)
}

/// Whether a folder holds IDX files.
fn is_idx(folder: &Path) -> bool {
    let name = "train-images-idx3-ubyte";
    folder.join(name).is_file() || folder.join(format!("{name}.gz")).is_file()
}

fn read_part(folder: &Path, part: &str, classes: &[(u8, &str)]) -> Result<ImageSet, DataError> {
    let labels = labels(folder, part)?;
    let mut file = IdxFile::open(folder, &format!("{part}-images-idx3-ubyte"))?;
    let [count, height, width] = file.sizes()?;
    if count as usize != labels.len() {
        let path = folder.join(format!("{part}-labels-idx1-ubyte"));
        let reason = format!("it has {} labels for {count} images", labels.len());
        return Err(DataError::Idx { path, reason });
    }
    let mut of_label = [None; 256];
    for (class, (digit, _)) in classes.iter().enumerate() {
        of_label[usize::from(*digit)] = Some(class);
    }
    let mut found = vec![false; classes.len()];
    let mut samples = Vec::new();
    let size = u64::from(height) * u64::from(width);
    let mut image = Vec::new();
    let shown = quoted_path(folder);
    // One image after the other, so that the file is not in memory twice.
    for (index, label) in labels.iter().enumerate() {
        file.fill(&mut image, size)?;
        let Some(label) = of_label[usize::from(*label)] else {
            continue;
        };
        found[label] = true;
        let source = Source::Grey {
            name: format!("{part} image {index} of {shown}"),
            height,
            width,
            values: image.as_slice().into(),
        };
        samples.push(Sample::new(source, label));
    }
    file.end()?;
    let missing = found.iter().zip(classes).find(|(found, _)| !**found);
    if let Some((_, (digit, name))) = missing {
        let path = folder.join(format!("{part}-labels-idx1-ubyte"));
        let reason = format!("it has no label {digit} ({name})");
        return Err(DataError::Idx { path, reason });
    }
    let classes = classes.iter().map(|(_, name)| (*name).to_owned()).collect();
    Ok(ImageSet { classes, samples })
}

fn labels(folder: &Path, part: &str) -> Result<Vec<u8>, DataError> {
    let mut file = IdxFile::open(folder, &format!("{part}-labels-idx1-ubyte"))?;
    file.sizes::<1>()?;
    let labels = file.rest()?;
    file.end()?;
    Ok(labels)
}

/// A file that is read from its start.
struct IdxFile {
    path: PathBuf,
    file: Box<dyn Read>,
    sizes: Vec<u32>,
    /// Number of values that the header announces, and of those that have been read.
    wanted: u64,
    read: u64,
}

impl IdxFile {
    fn open(folder: &Path, name: &str) -> Result<Self, DataError> {
        let plain = folder.join(name);
        let zipped = folder.join(format!("{name}.gz"));
        let path = if plain.exists() { plain } else { zipped };
        let opened = finetune_files::open(&path);
        let (file, _) = opened.map_err(|source| DataError::Io {
            path: path.clone(),
            source,
        })?;
        let file = BufReader::new(file);
        let file: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(BufReader::new(GzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self {
            path,
            file,
            sizes: Vec::new(),
            wanted: 0,
            read: 0,
        })
    }

    fn bad(&self, reason: impl Display) -> DataError {
        DataError::Idx {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    /// Reads the header of a file of bytes with `N` dimensions.
    fn sizes<const N: usize>(&mut self) -> Result<[u32; N], DataError> {
        let mut word = || {
            let mut word = [0; 4];
            self.file.read_exact(&mut word).map(|()| word)
        };
        let words: std::io::Result<Vec<[u8; 4]>> = (0..=N).map(|_| word()).collect();
        let words =
            words.map_err(|error| self.bad(format!("its header cannot be read ({error})")))?;
        let [magic, sizes @ ..] = words.as_slice() else {
            return Err(self.bad("it has no header"));
        };
        if magic[..3] != [0, 0, 8] || usize::from(magic[3]) != N {
            return Err(self.bad(format!(
                "it does not start like one with {N} dimensions of bytes"
            )));
        }
        self.sizes = sizes.iter().map(|size| u32::from_be_bytes(*size)).collect();
        let product = self
            .sizes
            .iter()
            .try_fold(1_u64, |all, size| all.checked_mul(u64::from(*size)));
        let wanted = product.filter(|wanted| (1..=LIMIT).contains(wanted));
        self.wanted =
            wanted.ok_or_else(|| self.bad(format!("its header says {:?} values", self.sizes)))?;
        Ok(std::array::from_fn(|index| {
            self.sizes.get(index).copied().unwrap_or_default()
        }))
    }

    /// Replaces `values` by the next `count` values. Memory is reserved for what is there rather than for
    /// what the header says.
    fn fill(&mut self, values: &mut Vec<u8>, count: u64) -> Result<(), DataError> {
        values.clear();
        let outcome = (&mut self.file).take(count).read_to_end(values);
        outcome.map_err(|error| self.bad(error))?;
        if (values.len() as u64) < count {
            return Err(self.short(values.len()));
        }
        self.read += count;
        Ok(())
    }

    /// Reads all values.
    fn rest(&mut self) -> Result<Vec<u8>, DataError> {
        let mut values = Vec::new();
        self.fill(&mut values, self.wanted)?;
        Ok(values)
    }

    /// Checks that all values have been read and that no more follow.
    fn end(&mut self) -> Result<(), DataError> {
        let more = self.file.read(&mut [0]).map_err(|error| self.bad(error))?;
        if self.read != self.wanted || more > 0 {
            let sizes = &self.sizes;
            return Err(self.bad(format!("its header says {sizes:?} values, and it has more")));
        }
        Ok(())
    }

    fn short(&self, more: usize) -> DataError {
        let held = self.read + more as u64;
        self.bad(format!(
            "its header says {:?} values, and it has {held}",
            self.sizes
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

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
    fn classes_are_in_the_order_of_the_options() {
        let folder = folder();
        let splits = open_idx(folder.path(), &OPTIONS).unwrap();
        assert_eq!(splits.classes(), ["nine", "seven"]);
        assert_eq!(splits.train.per_class(), [1, 2]);
        assert_eq!(splits.test.per_class(), [1, 1]);
    }

    #[test]
    fn an_invalid_file_is_named_with_the_reason() {
        let folder = folder();
        let images = folder.path().join("train-images-idx3-ubyte");
        let cut = std::fs::read(&images).unwrap();
        std::fs::write(&images, &cut[..cut.len() - 1]).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(
            error.contains("its header says [3, 1, 2] values, and it has 5"),
            "{error}"
        );
        std::fs::write(&images, [&cut[..], &[0]].concat()).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(error.contains("and it has more"), "{error}");
        std::fs::write(&images, &cut[..9]).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(error.contains("its header cannot be read"), "{error}");
        // 2^32 - 1 images of 1×2 values: rejected before anything is read.
        let many = [&cut[..4], &[0xff; 4], &cut[8..]].concat();
        std::fs::write(&images, many).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(
            error.contains("its header says [4294967295, 1, 2] values; download it again"),
            "{error}"
        );
        std::fs::write(&images, b"not an IDX file at all").unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(
            error.contains("does not start like one with 3 dimensions"),
            "{error}"
        );
    }

    #[test]
    fn labels_must_match_the_images_and_the_classes() {
        let folder = folder();
        let name = "t10k-labels-idx1-ubyte";
        write(folder.path(), name, &[2], &[7, 9]);
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(error.contains("it has 2 labels for 3 images"), "{error}");
        write(folder.path(), name, &[3], &[7, 7, 7]);
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(error.contains("it has no label 9 (nine)"), "{error}");
    }

    #[test]
    fn compressed_files_are_read_and_truncated_ones_are_named() {
        let folder = folder();
        let plain = folder.path().join("train-images-idx3-ubyte");
        let zipped = folder.path().join("train-images-idx3-ubyte.gz");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&std::fs::read(&plain).unwrap()).unwrap();
        let bytes = encoder.finish().unwrap();
        std::fs::remove_file(&plain).unwrap();
        std::fs::write(&zipped, &bytes).unwrap();
        let train = open_idx(folder.path(), &OPTIONS).unwrap().train;
        // Grey values become three equal channels. Image 0 has the pixels [1, 2] and the class 1
        // (seven).
        let preprocess = crate::Preprocess {
            width: 2,
            ..crate::Preprocess::square(1)
        };
        let images = train.decode(&preprocess).unwrap();
        assert_eq!(
            (images.labels[0], images.pixels(0).unwrap().as_ref()),
            (1, &[1, 1, 1, 2, 2, 2][..])
        );

        std::fs::write(&zipped, &bytes[..bytes.len() - 12]).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(error.contains("is not a readable IDX file"), "{error}");
        std::fs::remove_file(&zipped).unwrap();
        let error = open_idx(folder.path(), &OPTIONS).unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }
}
