//! How folders are understood: names of parts, classes with parts, folders in folders.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use finetune_data::sources::{Understood, Why, understood_test};
use finetune_data::{Fold, SplitOptions, Splits, open};
use tempfile::TempDir;

/// Returns a folder with these files, which are empty because opening a data set decodes nothing.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    folder
}

/// Returns a folder with three images of `red` and of `green` in each of these folders.
fn parts(names: &[&str]) -> TempDir {
    let mut files = Vec::new();
    for name in names {
        for class in ["green", "red"] {
            files.extend((0..3).map(|index| format!("{name}/{class}/{index}.png")));
        }
    }
    folder(&files.iter().map(String::as_str).collect::<Vec<_>>())
}

fn opened(path: &Path) -> Splits {
    open(path, &SplitOptions::default()).unwrap()
}

/// Returns the error without the path of the folder.
fn message(path: &Path) -> String {
    let error = open(path, &SplitOptions::default()).unwrap_err();
    error
        .to_string()
        .replace(&format!("{}/", path.display()), "")
}

/// Returns the folder of each part.
fn from(understood: &Understood) -> Vec<(&str, Option<&str>)> {
    let parts = understood.parts.iter();
    parts
        .map(|part| (part.name.as_str(), part.from.as_deref()))
        .collect()
}

#[test]
fn parts_are_recognised_in_the_common_forms_of_their_names() {
    for [train, test] in [
        ["Training", "Testing"],
        ["TRAIN", "TEST"],
        ["seg_train", "seg_test"],
        ["train_cropped", "test_cropped"],
        ["train-set", "test set"],
        ["train2017", "test2017"],
        ["1_train", "2_test"],
        ["train_data", "test_data"],
        ["flowers_train", "flowers_test"],
    ] {
        let folder = parts(&[train, test]);
        let splits = opened(folder.path());
        assert_eq!(splits.classes(), ["green", "red"], "{train}");
        assert_eq!((splits.train.len(), splits.test.len()), (6, 6), "{train}");
        let understood = splits.understood();
        assert_eq!(
            from(&understood),
            [("train", Some(train)), ("test", Some(test))]
        );
        assert_eq!(
            understood.layout,
            format!(
                "folder with parts `{train}` (train) and `{test}` (test), one folder per class"
            )
        );
        assert_eq!(understood.sentences(), [""; 0]);
        let (set, tested) = understood_test(folder.path()).unwrap();
        assert_eq!(set.len(), 6);
        assert_eq!(from(&tested), [("test", Some(test))]);
    }
}

#[test]
fn validation_images_have_many_names_and_are_used() {
    for valid in [
        "val",
        "valid",
        "Validation",
        "dev",
        "eval",
        "VAL",
        "valid_data",
        "validation set",
    ] {
        let splits = opened(parts(&["train", valid, "test"]).path());
        assert_eq!(splits.valid.as_ref().unwrap().len(), 6, "{valid}");
        assert_eq!(splits.understood().parts[1].from.as_deref(), Some(valid));
    }
    // With validation images of their own, `eval` is for testing.
    let splits = opened(parts(&["train", "dev", "eval"]).path());
    assert_eq!(
        from(&splits.understood()),
        [
            ("train", Some("train")),
            ("valid", Some("dev")),
            ("test", Some("eval"))
        ]
    );
}

#[test]
fn validation_images_are_used_for_testing_if_there_are_no_test_images() {
    let folder = parts(&["train", "val"]);
    let splits = opened(folder.path());
    assert!(splits.valid.is_none());
    assert_eq!((splits.train.len(), splits.test.len()), (6, 6));
    let understood = splits.understood();
    assert_eq!(understood.made, ["no test part: `val` is used for testing"]);
    assert_eq!(
        from(&understood),
        [("train", Some("train")), ("test", Some("val"))]
    );
    // Validation images are then a fraction of the training images.
    let split = splits.with_validation(0.34, 0);
    assert_eq!(split.train.len(), 4);
    let understood = split.understood();
    assert_eq!(
        understood.made[1],
        "34 % of the training images of each class, chosen at random by seed 0, are for validation"
    );
    assert_eq!(understood.parts[1].from, None);
    let (test, tested) = understood_test(folder.path()).unwrap();
    assert_eq!(test.len(), 6);
    assert_eq!(from(&tested), [("test", Some("val"))]);
}

#[test]
fn classes_may_have_the_parts_in_their_own_folders() {
    let mut files = Vec::new();
    for class in ["cat", "dog"] {
        for (part, count) in [("train", 4), ("Test", 2), ("val", 1)] {
            files.extend((0..count).map(|index| format!("{class}/{part}/{index}.png")));
        }
    }
    files.push("cat/loose.png".to_owned());
    files.push("dog/old/1.png".to_owned());
    let folder = folder(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let splits = opened(folder.path());
    assert_eq!(splits.classes(), ["cat", "dog"]);
    assert_eq!(splits.train.per_class(), [4, 4]);
    assert_eq!(splits.valid.as_ref().unwrap().per_class(), [1, 1]);
    assert_eq!(splits.test.per_class(), [2, 2]);
    let understood = splits.understood();
    assert_eq!(
        understood.layout,
        "folder with one folder per class, and parts `train` (train), `val` (valid) and `Test` (test) \
         in each of them"
    );
    assert_eq!(understood.parts[2].from.as_deref(), Some("*/Test"));
    assert_eq!(understood.left_out.len(), 1);
    assert_eq!(
        (understood.left_out[0].why, understood.left_out[0].count),
        (Why::Place, 2)
    );
    fs::remove_dir_all(folder.path().join("dog")).unwrap();
    fs::create_dir_all(folder.path().join("dog/more")).unwrap();
    fs::write(folder.path().join("dog/more/1.png"), b"").unwrap();
    let error = message(folder.path());
    assert!(
        error.ends_with(
            "it has the parts `cat/train` and `cat/val`, but `dog` has no parts; give every class the \
             same parts"
        ),
        "{error}"
    );
}

#[test]
fn folders_that_hold_nothing_but_the_data_set_are_looked_through() {
    for (inside, whole) in [
        (
            &["archive/dataset/train", "archive/dataset/test"][..],
            false,
        ),
        (&["archive/flowers"], true),
    ] {
        let folder = parts(inside);
        fs::write(folder.path().join("archive/readme.txt"), b"").unwrap();
        fs::create_dir_all(folder.path().join("__MACOSX/archive")).unwrap();
        let splits = opened(folder.path());
        assert_eq!(splits.classes(), ["green", "red"]);
        let understood = splits.understood();
        assert_eq!(understood.notes.len(), 1);
        let inner = if whole {
            "archive/flowers"
        } else {
            "archive/dataset"
        };
        assert_eq!(
            understood.notes[0],
            format!(
                "the data set is in `{}`, the only folder of `{}`",
                folder.path().join(inner).display(),
                folder.path().display()
            )
        );
        assert_eq!(understood.made.len(), usize::from(whole));
    }
    // As Kaggle unpacks it.
    let splits = opened(parts(&["seg_train/seg_train", "seg_test/seg_test", "seg_pred/x"]).path());
    assert_eq!(splits.classes(), ["green", "red"]);
    let understood = splits.understood();
    assert_eq!(
        from(&understood),
        [("train", Some("seg_train")), ("test", Some("seg_test"))]
    );
    assert!(
        understood.left_out[0].examples[0].ends_with("seg_pred`"),
        "{understood:?}"
    );
    // A class whose images are in folders of their own is a class.
    let one = folder(&["cat/front/1.png", "cat/front/2.png"]);
    assert!(message(one.path()).contains("holds only the class `cat`"));
}

#[test]
fn what_can_be_understood_in_several_ways_is_rejected() {
    for (names, wanted) in [
        (
            &["train", "Training", "test"][..],
            "`Training` and `train` have the names of the same part",
        ),
        (
            &["train", "val", "validation"],
            "`val` and `validation` have the names of the same part",
        ),
        (
            &["train", "dev", "eval", "test"],
            "`dev` and `eval` have the names of the same part",
        ),
        (
            &["a_train", "a_test", "b_train", "b_test"],
            "it has several data sets, `a_test` and `a_train` and `b_",
        ),
        (
            &["one/train", "one/test", "two/train", "two/test"],
            "it has parts with class folders in several folders",
        ),
        (
            &["valid", "test"],
            "has a folder `test` but no folder `train`",
        ),
        (
            &["Training"],
            "has a folder `Training` but no folder `Testing`",
        ),
    ] {
        let folder = parts(names);
        let error = message(folder.path());
        assert!(error.contains(wanted), "{names:?}: {error}");
        assert_eq!(error.lines().count(), 1);
    }
    // A class may be called like a part of something.
    let splits = opened(
        folder(&[
            "steam_train/1.png",
            "steam_train/2.png",
            "tram/1.png",
            "tram/2.png",
        ])
        .path(),
    );
    assert_eq!(splits.classes(), ["steam_train", "tram"]);
}

#[test]
fn test_images_without_labels_are_not_used() {
    let unlabelled = ["test/1.png", "test/2.png"].map(str::to_owned);
    let put = |folder: &TempDir| {
        fs::create_dir_all(folder.path().join("test")).unwrap();
        for name in &unlabelled {
            fs::write(folder.path().join(name), b"").unwrap();
        }
    };
    let folder = parts(&["train", "val"]);
    put(&folder);
    let splits = opened(folder.path());
    let understood = splits.understood();
    assert_eq!(
        from(&understood),
        [("train", Some("train")), ("test", Some("val"))]
    );
    assert!(
        understood.notes[0].ends_with(
            "test` is not used: it has 2 image(s) but no class folders, so that they have no labels"
        ),
        "{:?}",
        understood.notes
    );
    let folder = parts(&["train"]);
    put(&folder);
    let error = message(folder.path());
    assert_eq!(
        error,
        "`test` has 2 image(s) but no class folders, so that they have no labels; put the images of each \
         class into a folder of its own, or give `train` to split it automatically"
    );
}

#[test]
fn what_is_left_out_is_counted() {
    let png = b"\x89PNG\r\n\x1a\n";
    let folder = folder(&[
        "cat/1.jfif",
        "cat/2.jpe",
        "cat/3.PPM",
        "cat/.4.png",
        "cat/5.heic",
        "cat/6.HEIC",
        "cat/7.dng",
        "cat/8.avif",
        "cat/notes.txt",
        "dog/1.png",
        "dog/2.png",
        "loose.jpg",
    ]);
    fs::write(folder.path().join("dog/3.JPG.txt"), png).unwrap();
    let splits = opened(folder.path());
    assert_eq!(splits.train.len() + splits.test.len(), 5);
    let left_out = splits.understood().left_out;
    let counts: Vec<_> = left_out.iter().map(|left| (left.why, left.count)).collect();
    assert_eq!(
        counts,
        [
            (Why::Hidden, 1),
            (Why::Ending, 1),
            (Why::Misnamed, 1),
            (Why::Format, 4),
            (Why::Place, 1),
        ]
    );
    let sentence = left_out[3].sentence();
    assert!(
        sentence.starts_with("4 left out, images of a format that is not supported: `"),
        "{sentence}"
    );
    assert!(sentence.ends_with(" and 1 more"), "{sentence}");
}

#[test]
fn what_is_made_is_said() {
    let folder = parts(&["."]);
    let splits = opened(folder.path());
    assert_eq!(
        splits.understood().made,
        [
            "no test part: 25 % of the images of each class, chosen at random by seed 0, are for testing"
        ]
    );
    let fold = Some(Fold { index: 2, of: 3 });
    let options = SplitOptions {
        fold,
        ..SplitOptions::default()
    };
    let splits = open(folder.path(), &options).unwrap();
    assert_eq!(
        splits.understood().made,
        ["no test part: fold 2 of 3 (seed 0) is for testing"]
    );
    for fold in [
        Fold { index: 0, of: 3 },
        Fold { index: 4, of: 3 },
        Fold { index: 1, of: 0 },
    ] {
        let options = SplitOptions {
            fold: Some(fold),
            ..SplitOptions::default()
        };
        let error = open(folder.path(), &options).unwrap_err().to_string();
        assert!(
            error.contains("there must be at least 2 folds, and they count from 1"),
            "{error}"
        );
    }
    let splits = splits.with_train_per_class(1000, 0);
    let understood = splits.understood();
    assert_eq!(
        understood.notes,
        ["1000 training images per class were asked for, but the largest class has 2"]
    );
    assert_eq!(understood.parts[0].limit_per_class, Some(1000));
    assert_eq!(understood.parts[0].per_class(), Some([2, 2]));
    let valid = opened(parts(&["train", "val", "test"]).path()).with_validation(0.5, 0);
    assert_eq!(valid.train.len(), 6);
    assert!(valid.understood().notes[0].starts_with("there are validation images already"));
    // It is part of a report, so it must be serialisable.
    let text = serde_json::to_string(&understood).unwrap();
    assert_eq!(
        serde_json::from_str::<Understood>(&text).unwrap(),
        understood
    );
}

#[test]
fn a_fingerprint_changes_with_names_sizes_and_labels_and_not_with_the_place() {
    let make = || {
        let folder = parts(&["train", "test"]);
        let print = opened(folder.path()).fingerprint().unwrap();
        (folder, print)
    };
    let (folder, print) = make();
    let (other, same) = make();
    assert_ne!(folder.path(), other.path());
    assert_eq!(print, same);
    assert_eq!(print.sha256.len(), 64);
    let parts: Vec<_> = print
        .parts
        .iter()
        .map(|part| (part.name.as_str(), part.images))
        .collect();
    assert_eq!(parts, [("train", 6), ("test", 6)]);
    let changed = || opened(other.path()).fingerprint().unwrap();
    let at = |name: &str| other.path().join(name);
    // A size.
    fs::write(at("test/red/0.png"), b"x").unwrap();
    let size = changed();
    assert_ne!(size.sha256, print.sha256);
    assert_eq!(size.parts[0], print.parts[0]);
    assert_ne!(size.parts[1].sha256, print.parts[1].sha256);
    fs::write(at("test/red/0.png"), b"").unwrap();
    assert_eq!(changed(), print);
    // A name.
    fs::rename(at("test/red/0.png"), at("test/red/00.png")).unwrap();
    assert_ne!(changed().sha256, print.sha256);
    fs::rename(at("test/red/00.png"), at("test/red/0.png")).unwrap();
    // A label.
    fs::rename(at("train/red/2.png"), at("train/green/3.png")).unwrap();
    assert_ne!(changed().sha256, print.sha256);
    fs::rename(at("train/green/3.png"), at("train/red/2.png")).unwrap();
    // The name of a class.
    for part in ["train", "test"] {
        fs::rename(at(part).join("green"), at(part).join("zebra")).unwrap();
    }
    assert_ne!(changed().sha256, print.sha256);
}
