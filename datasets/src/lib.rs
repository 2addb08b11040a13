//! The embedded photographs (hands that show the digits 0 to 9, split by student) and the pretrained
//! weights of the default model.
//!
//! ```
//! let first = finetune_datasets::signs("train").next().unwrap();
//! assert_eq!(first.class, "0");
//! assert!(first.bytes.starts_with(&[0xff, 0xd8])); // a JPEG file
//! ```

use include_dir::{Dir, include_dir};

static TRAIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/signs/train");
static TEST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/signs/test");
static PRETRAIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/signs/pretrain");

/// The pretrained weights of the default model: a safetensors file with PyTorch's names.
pub static RESNET8_64_SIGNS: &[u8] = include_bytes!("../weights/resnet8-64-signs.safetensors");

/// One photograph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Photograph {
    /// The digit that it shows.
    pub class: &'static str,
    /// Its file name.
    pub name: &'static str,
    /// The JPEG file.
    pub bytes: &'static [u8],
}

/// The photographs of a split (`train`, `test` or `pretrain`), sorted by class and then by name.
///
/// A split with another name has no photographs.
pub fn signs(split: &str) -> impl Iterator<Item = Photograph> {
    let folder = match split {
        "train" => Some(&TRAIN),
        "test" => Some(&TEST),
        "pretrain" => Some(&PRETRAIN),
        _ => None,
    };
    let name = |path: &'static std::path::Path| {
        path.file_name()
            .and_then(std::ffi::OsStr::to_str)
            .unwrap_or_default()
    };
    let mut classes: Vec<_> = folder.into_iter().flat_map(Dir::dirs).collect();
    classes.sort_by_key(|class| class.path());
    classes.into_iter().flat_map(move |class| {
        let mut files: Vec<_> = class.files().collect();
        files.sort_by_key(|file| file.path());
        files.into_iter().map(move |file| Photograph {
            class: name(class.path()),
            name: name(file.path()),
            bytes: file.contents(),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn no_student_of_the_test_set_is_seen_elsewhere() {
        let mut students: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
        for line in include_str!("../signs/pictures.csv").lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let [path, digit, student, split] = fields[..] else {
                panic!("{line}")
            };
            assert!(path.starts_with(&format!("{split}/{digit}/")), "{line}");
            students.entry(split).or_default().insert(student);
            *listed.entry(split).or_default() += 1;
        }
        assert!(students["test"].is_disjoint(&students["train"]));
        assert!(students["test"].is_disjoint(&students["pretrain"]));
        for split in ["train", "test", "pretrain"] {
            assert_eq!(signs(split).count(), listed[split]);
        }
        assert_eq!(signs("nothing").count(), 0);
    }
}
