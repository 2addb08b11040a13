//! Data sets and images.

use std::path::Path;

use finetune::data::sources::understood_test;
use finetune::data::{
    DataError, ImageSet, Pipeline, Preprocess, Sample, Source, SplitOptions, StoredSize, open,
};
use flate2::Crc;

use super::weights::shown;

/// Opens a data set and says what was understood.
fn read(path: &Path) {
    match open(path, &SplitOptions::default()) {
        Ok(splits) => {
            let _ = splits.understood().sentences();
            splits.fingerprint().expect("the files exist");
        }
        Err(error) => {
            shown(&error);
            // The test images would be read in the same way.
            if matches!(error, DataError::Manifest { .. }) {
                return;
            }
        }
    }
    match understood_test(path) {
        Ok((set, understood)) => {
            assert!(
                set.samples
                    .iter()
                    .all(|sample| sample.label < set.classes.len())
            );
            let _ = understood.sentences();
        }
        Err(error) => {
            shown(&error);
        }
    }
}

/// A manifest of the images `a.png`, `b.png`, `c.png` and `d.png`: JSON Lines if it begins with a brace,
/// otherwise CSV.
pub fn manifest(folder: &Path, input: &[u8]) -> usize {
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        let path = folder.join(name);
        if !path.exists() {
            std::fs::write(path, []).expect("an image");
        }
    }
    let is_json = input.trim_ascii_start().starts_with(b"{");
    let path = folder.join(if is_json {
        "manifest.jsonl"
    } else {
        "manifest.csv"
    });
    std::fs::write(&path, input).expect("a manifest");
    read(&path);
    0
}

/// A folder of IDX files: a byte that says how many bytes the file of the labels has, this file, and the
/// file of the images. The test files are the same.
pub fn idx(folder: &Path, input: &[u8]) -> usize {
    let (length, rest) = input.split_first().unwrap_or((&0, &[]));
    let (labels, images) = rest
        .split_at_checked((*length).into())
        .unwrap_or((rest, &[]));
    let folder = folder.join("idx");
    std::fs::create_dir_all(&folder).expect("a folder");
    for part in ["train", "t10k"] {
        let path = |name: &str| folder.join(format!("{part}-{name}-ubyte"));
        std::fs::write(path("labels-idx1"), labels).expect("labels");
        std::fs::write(path("images-idx3"), images).expect("images");
    }
    read(&folder);
    0
}

/// A Parquet file of images, of which the first is read.
pub fn parquet(folder: &Path, input: &[u8]) -> usize {
    let path = folder.join("images.parquet");
    std::fs::write(&path, input).expect("a file");
    read(&path);
    let Ok((set, _)) = understood_test(&path) else {
        return 0;
    };
    let Some(Source::Contained { container, index }) = set.samples.first().map(|one| &one.source)
    else {
        return 0;
    };
    match container.bytes(*index) {
        Ok(bytes) => bytes.len(),
        Err(error) => shown(&error),
    }
}

/// The most pixels of an image here, so that none takes long.
const MOST_PIXELS: u64 = 1 << 16;

/// An image. If it begins with a byte 1, the rest is a PNG file that gets correct checksums, without
/// which nothing of it would be decoded.
pub fn image(folder: &Path, input: &[u8]) -> usize {
    let path = folder.join("image");
    let file = match input.split_first() {
        Some((1, file)) => with_checksums(file),
        _ => input.to_vec(),
    };
    std::fs::write(&path, file).expect("a file");
    let source = Source::File(path);
    let set = ImageSet {
        classes: vec!["a".to_owned()],
        samples: vec![Sample::new(source, 0)],
    };
    let preprocess = Preprocess {
        max_pixels: MOST_PIXELS,
        ..Preprocess::square(8)
    };
    let pipeline = Pipeline {
        workers: Some(1),
        ..Pipeline::memory()
    };
    match set.prepare(&preprocess, StoredSize::Fitted, &pipeline) {
        Ok(images) => assert_eq!(images.pixels(0).expect("pixels in memory").len(), 3 * 8 * 8),
        Err(error) => {
            shown(&error);
        }
    }
    // 16 bits of four channels per pixel.
    usize::try_from(8 * MOST_PIXELS).unwrap_or(usize::MAX)
}

/// A PNG file with the checksums of all its chunks.
fn with_checksums(file: &[u8]) -> Vec<u8> {
    let mut whole = file.to_vec();
    let mut at = 8;
    while let Some(head) = whole.get(at..at + 8) {
        let length = head
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes)) as usize;
        let end = at.saturating_add(8).saturating_add(length);
        if end.saturating_add(4) > whole.len() {
            break;
        }
        let mut sum = Crc::new();
        sum.update(&whole[at + 4..end]);
        whole[end..end + 4].copy_from_slice(&sum.sum().to_be_bytes());
        at = end + 4;
    }
    whole
}
