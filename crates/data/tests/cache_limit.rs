//! The limit of the cache of decoded images.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use finetune_data::{Cache, ImageSet, Images, Pipeline, Preprocess, Sample, Source, StoredSize};
use image::{ImageBuffer, Rgb};
use tempfile::TempDir;

const COUNT: u64 = 4;

/// Returns the size of a cache file with four square images, in bytes: magic number, count, 24
/// bytes per entry, pixels.
fn bytes(side: u64) -> u64 {
    16 + 8 + COUNT * (24 + side * side * 3)
}

struct Folder(TempDir);

impl Folder {
    /// Decodes four pictures to squares and stores them on disk.
    fn prepare(&self, side: u64, limit: Option<u64>) -> Images {
        let samples = (0..COUNT).map(|i| {
            let path = self.0.path().join(format!("{i}.png"));
            if !path.exists() {
                let value = u8::try_from(50 * i).unwrap();
                let picture = ImageBuffer::from_pixel(30, 20, Rgb([value, 7, 9]));
                picture.save(&path).unwrap();
            }
            Sample::new(Source::File(path), usize::from(i % 2 == 0))
        });
        let set = ImageSet {
            classes: vec!["a".to_owned(), "b".to_owned()],
            samples: samples.collect(),
        };
        let pipeline = Pipeline {
            cache: Cache::Disk,
            folder: self.cache(),
            limit,
            ..Pipeline::default()
        };
        let preprocess = Preprocess::square(usize::try_from(side).unwrap());
        set.prepare(&preprocess, StoredSize::Fitted, &pipeline)
            .unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// Returns the sizes and paths of the cache files.
    fn files(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(self.cache()).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "images"));
        let mut files: Vec<_> = files
            .map(|entry| (entry.metadata().unwrap().len(), entry.path()))
            .collect();
        files.sort();
        files
    }

    fn sizes(&self) -> Vec<u64> {
        self.files().into_iter().map(|(bytes, _)| bytes).collect()
    }

    /// Sets the time of last use of a cache file to some hours ago.
    fn age(&self, side: u64, hours: u64) {
        let files = self.files();
        let (_, path) = files.iter().find(|(size, _)| *size == bytes(side)).unwrap();
        let time = SystemTime::now() - Duration::from_hours(hours);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
}

#[test]
fn the_least_recently_used_file_is_removed_first() {
    let folder = Folder(tempfile::tempdir().unwrap());
    for side in [8, 16, 20] {
        folder.prepare(side, None);
    }
    fs::write(folder.cache().join("notes.txt"), vec![0; 9000]).unwrap();
    assert_eq!(folder.sizes(), [bytes(8), bytes(16), bytes(20)]);
    folder.age(8, 5);
    folder.age(16, 4);
    folder.age(20, 3);
    // The oldest file is used again, so the second one is now the least recently used.
    folder.prepare(8, None);
    folder.prepare(24, Some(bytes(8) + bytes(20) + bytes(24)));
    assert_eq!(folder.sizes(), [bytes(8), bytes(20), bytes(24)]);
    // If the limit is one byte lower, one more file is removed, although nothing is written.
    folder.prepare(24, Some(bytes(8) + bytes(20) + bytes(24) - 1));
    assert_eq!(folder.sizes(), [bytes(8), bytes(24)]);
    assert!(folder.cache().join("notes.txt").exists());
}

#[test]
fn a_file_in_use_is_not_removed() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let used = folder.prepare(8, None);
    folder.prepare(16, None);
    folder.age(8, 5);
    let new = folder.prepare(24, Some(0));
    assert_eq!(folder.sizes(), [bytes(8), bytes(24)]);
    drop(used);
    folder.prepare(24, Some(0));
    assert_eq!(folder.sizes(), [bytes(24)]);
    drop(new);
    folder.prepare(16, Some(0));
    assert_eq!(folder.sizes(), [bytes(16)]);
}
