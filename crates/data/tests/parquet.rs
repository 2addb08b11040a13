//! Parquet files, written by `tests/parity/parquet.py`.

#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use finetune_data::{
    Cache, Fold, ImageSet, OnBadImage, Pipeline, Preprocess, SplitOptions, StoredSize, open,
    open_test,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/parquet")
        .join(name)
}

/// Returns the class and the red value of each image.
fn images(set: &ImageSet, cache: Cache) -> Vec<(String, u8)> {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline {
        cache,
        folder: folder.path().to_owned(),
        workers: Some(3),
        ..Pipeline::default()
    };
    let images = set
        .prepare(&Preprocess::square(3), StoredSize::Fitted, &pipeline)
        .unwrap();
    let red = |index| images.pixels(index).unwrap()[0];
    let labels = images.labels.iter().enumerate();
    labels
        .map(|(index, label)| (images.classes[*label].clone(), red(index)))
        .collect()
}

fn message(path: &Path) -> String {
    open(path, &SplitOptions::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn files_in_the_layout_of_the_hub_are_splits_with_named_classes() {
    let splits = open(&fixture("hub"), &SplitOptions::default()).unwrap();
    // The third class of the files has no images.
    assert_eq!(splits.classes(), ["cat", "dog"]);
    let wanted = |pairs: &[(&str, u8)]| {
        let pairs = pairs.iter().map(|(class, red)| ((*class).to_owned(), *red));
        pairs.collect::<Vec<_>>()
    };
    let train = [
        ("cat", 1),
        ("dog", 2),
        ("cat", 3),
        ("dog", 4),
        ("dog", 5),
        ("dog", 1),
        ("cat", 2),
    ];
    for cache in [Cache::Memory, Cache::Disk, Cache::None] {
        assert_eq!(images(&splits.train, cache), wanted(&train));
        assert_eq!(
            images(splits.valid.as_ref().unwrap(), cache),
            wanted(&[("cat", 1), ("dog", 2)])
        );
        let test = open_test(&fixture("hub")).unwrap();
        assert_eq!(
            images(&test, cache),
            wanted(&[("dog", 1), ("cat", 2), ("dog", 3)])
        );
    }
    let name = splits.train.samples[5].source.name();
    assert!(
        name.ends_with("train-00001-of-00002.parquet, row 0 (0.png)"),
        "{name}"
    );
}

#[test]
fn one_file_is_split_and_labels_may_be_text_or_numbers() {
    for (file, classes) in [
        ("texts.parquet", ["a", "b"]),
        ("numbers.parquet", ["3", "7"]),
    ] {
        let splits = open(&fixture(file), &SplitOptions::default()).unwrap();
        assert_eq!(splits.classes(), classes);
        let mut all = images(&splits.train, Cache::Memory);
        all.extend(images(&splits.test, Cache::None));
        all.sort_by_key(|(_, red)| *red);
        let labels = [classes[1], classes[0]];
        for (index, (class, red)) in all.iter().enumerate() {
            assert_eq!(
                (class.as_str(), usize::from(*red)),
                (labels[index % 2], index + 1)
            );
        }
    }
}

#[test]
fn each_invalid_file_has_its_message() {
    let error = message(&fixture("unlabelled.parquet"));
    assert!(
        error.ends_with("row 1 has the label -1, which has no name"),
        "{error}"
    );
    let error = message(&fixture("columns.parquet"));
    assert!(
        error.ends_with("it has no column `image`; its columns are: `number`, `label`"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("texts.parquet")).unwrap();
    for (name, bytes) in [
        ("cut", &whole[..whole.len() / 2]),
        ("empty", b""),
        ("text", b"this is text"),
    ] {
        let path = folder.path().join(format!("{name}.parquet"));
        std::fs::write(&path, bytes).unwrap();
        let error = message(&path);
        assert!(
            error.contains("is not a readable Parquet file"),
            "{name}: {error}"
        );
    }
    // A damaged page gives an error when the labels or the images are read.
    let mut damaged = whole.clone();
    damaged[4..400].fill(0xee);
    let path = folder.path().join("damaged.parquet");
    std::fs::write(&path, damaged).unwrap();
    let outcome = open(&path, &SplitOptions::default()).map_err(|error| error.to_string());
    let outcome = outcome.and_then(|splits| {
        let pipeline = Pipeline {
            on_bad_image: OnBadImage::Fail,
            ..Pipeline::memory()
        };
        let images = splits
            .train
            .prepare(&Preprocess::square(3), StoredSize::Fitted, &pipeline);
        images.map(|_| ()).map_err(|error| error.to_string())
    });
    let error = outcome.unwrap_err();
    assert!(error.contains("damaged.parquet"), "{error}");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("all.parquet"), &whole).unwrap();
    std::fs::write(other.join("train-0.parquet"), &whole).unwrap();
    assert!(message(&other).contains("its name must begin with train-, validation- or test-"));
    let error = message(&fixture("fractions.parquet"));
    assert!(
        error.ends_with("row 0 has the label 0.5, which is neither a whole number nor text"),
        "{error}"
    );
}

/// Returns the classes of the images in the order of their pixels, whose red values are 1, 2, ….
fn classes(path: &Path) -> Vec<String> {
    let splits = open(path, &SplitOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut all = images(&splits.train, Cache::Memory);
    all.extend(images(&splits.test, Cache::Memory));
    all.sort_by_key(|(_, red)| *red);
    all.into_iter().map(|(class, _)| class).collect()
}

#[test]
fn labels_have_any_type_of_text_and_whole_numbers() {
    for name in ["uint8", "int16", "uint32", "uint64", "float32", "float64"] {
        let path = fixture(&format!("types/{name}.parquet"));
        assert_eq!(classes(&path), ["7", "3", "7", "3"], "{name}");
    }
    assert_eq!(
        classes(&fixture("types/bool.parquet")),
        ["1", "0", "1", "0"]
    );
    assert_eq!(
        classes(&fixture("types/binary.parquet")),
        ["b", "a", "b", "a"]
    );
    assert_eq!(classes(&fixture("picture.parquet")), ["7", "3", "7", "3"]);
}

#[test]
fn files_have_any_common_compression() {
    for name in ["gzip", "brotli", "lz4", "snappy", "zstd"] {
        let path = fixture(&format!("codecs/{name}.parquet"));
        assert_eq!(classes(&path), ["7", "3", "7", "3"], "{name}");
    }
}

#[test]
fn folders_of_files_are_arranged_as_on_the_hub() {
    let make = |files: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(fixture("texts.parquet"), path).unwrap();
        }
        folder
    };
    for files in [
        [
            "train-00000-of-00001.parquet",
            "test-00000-of-00001.parquet",
        ],
        ["data/train.parquet", "data/test.parquet"],
        [
            "default/train-00000-of-00001.parquet",
            "default/test-00000-of-00001.parquet",
        ],
        ["train/0000.parquet", "test/0000.parquet"],
        [
            "plain_text/train/0000.parquet",
            "plain_text/test/0000.parquet",
        ],
        ["Training/part-0.parquet", "Testing/part-0.parquet"],
    ] {
        let folder = make(&files);
        let splits = open(folder.path(), &SplitOptions::default()).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (4, 4), "{files:?}");
        assert_eq!(splits.understood().made, [""; 0]);
        assert_eq!(open_test(folder.path()).unwrap().len(), 4);
    }
    // Shards without parts are one set.
    let splits = open(
        make(&["0000.parquet", "0001.parquet"]).path(),
        &SplitOptions::default(),
    );
    let splits = splits.unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (6, 2));
    assert_eq!(splits.understood().made.len(), 1);
    let folder = make(&[
        "one/train/0.parquet",
        "one/test/0.parquet",
        "two/train/0.parquet",
    ]);
    assert!(
        message(folder.path())
            .ends_with("it has several data sets: `one`, `two`; give the folder of one of them")
    );
}

/// The fixtures' groups of four images each, by the red value of an image.
fn group(red: u8) -> u8 {
    (red - 1) / 4
}

#[test]
fn images_of_a_group_are_not_divided() {
    let path = fixture("groups/texts.parquet");
    let reds = |set: &ImageSet| {
        let images = images(set, Cache::Memory).into_iter();
        images.map(|(_, red)| red).collect::<Vec<_>>()
    };
    let apart = |train: &ImageSet, held_out: &ImageSet| {
        let (train, held_out) = (reds(train), reds(held_out));
        assert_eq!(train.len() + held_out.len(), 24);
        // Whole groups: a third of them with three folds, otherwise what is near to a quarter.
        assert!(!held_out.is_empty() && held_out.len() % 4 == 0);
        let groups = |reds: &[u8]| reds.iter().map(|red| group(*red)).collect::<BTreeSet<_>>();
        assert!(groups(&train).is_disjoint(&groups(&held_out)));
        groups(&held_out)
    };
    for seed in 0..5 {
        let options = SplitOptions {
            seed,
            ..SplitOptions::default()
        };
        let splits = open(&path, &options).unwrap();
        apart(&splits.train, &splits.test);
        let mut tested = BTreeSet::new();
        for index in 1..=3 {
            let fold = Some(Fold { index, of: 3 });
            let options = SplitOptions {
                fold,
                ..options.clone()
            };
            let splits = open(&path, &options).unwrap();
            let fold = apart(&splits.train, &splits.test);
            assert_eq!(fold.len(), 2, "{fold:?}");
            tested.extend(fold);
        }
        assert_eq!(tested.len(), 6);
    }
    let splits = open(&path, &SplitOptions::default()).unwrap();
    let understood = splits.understood();
    let layout =
        "Parquet files with the columns `image` (image), `label` (label) and `Group ID` (group)";
    assert!(
        understood.layout.starts_with(layout),
        "{}",
        understood.layout
    );
    let said = "24 of 24 images are of 6 groups, which are not divided";
    assert_eq!(understood.made[0], said);
}

#[test]
fn groups_may_be_numbers_missing_or_found_by_the_paths_of_images() {
    let groups = |name: &str, options: &SplitOptions| {
        let splits = open(&fixture(name), options).unwrap();
        let understood = splits.understood();
        let samples = [splits.train.samples, splits.test.samples].concat();
        let mut groups: Vec<_> = samples
            .iter()
            .filter_map(|sample| sample.group.as_deref().map(str::to_owned))
            .collect();
        groups.sort();
        groups.dedup();
        (groups.join(" "), understood.made[0].clone())
    };
    let plain = SplitOptions::default();
    let (found, said) = groups("groups/numbers.parquet", &plain);
    assert_eq!(found, "0 1 2 3 4 5");
    assert!(
        said.starts_with("18 of 24 images are of 6 groups"),
        "{said}"
    );
    // The paths are farm/0.png to farm/23.png; the pattern counts instead of the column.
    let by_name = SplitOptions {
        group_by: Some(r"^(\d)\d\.png$".to_owned()),
        ..plain
    };
    let (found, said) = groups("groups/texts.parquet", &by_name);
    assert_eq!(found, "1 2");
    assert!(
        said.starts_with("14 of 24 images are of 2 groups"),
        "{said}"
    );
    // Groups that the files of a data set put into several parts are named.
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "test"] {
        let from = fixture("groups/texts.parquet");
        std::fs::copy(from, folder.path().join(format!("{part}-0.parquet"))).unwrap();
    }
    let splits = open(folder.path(), &SplitOptions::default()).unwrap();
    let notes = splits.understood().notes.join("\n");
    let leak = "24 of 24 test images are of groups that are among the training images";
    assert!(notes.contains(leak), "{notes}");
}
