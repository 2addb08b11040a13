//! Manifests, folds, links and names of files.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use finetune_data::{DataError, Fold, ImageSet, SplitOptions, Splits, open, open_test};
use tempfile::TempDir;

/// Returns a folder with empty files of these names.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }
    folder
}

const FILES: [&str; 6] = [
    "p/1.png", "p/2.png", "p/3.png", "p/4.png", "p/5.png", "6.png",
];

fn manifest(name: &str, text: &str) -> (TempDir, Result<Splits, DataError>) {
    let folder = folder(&FILES);
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let splits = open(&path, &SplitOptions::default());
    (folder, splits)
}

fn message(name: &str, text: &str) -> String {
    let (folder, splits) = manifest(name, text);
    let prefix = format!("{}/", folder.path().display());
    splits.unwrap_err().to_string().replace(&prefix, "")
}

/// Returns the paths of a set relative to the folder, with their classes.
fn names(set: &ImageSet, folder: &Path) -> Vec<String> {
    let name = |path: String| path.replace(&format!("{}/", folder.display()), "");
    set.samples
        .iter()
        .map(|sample| {
            format!(
                "{} {}",
                name(sample.source.name()),
                set.classes[sample.label]
            )
        })
        .collect()
}

#[test]
fn manifests_name_images_classes_and_splits() {
    let csv = "label,path,split\n\
               dog,p/1.png,train\n\
               cat,p/2.png,train\n\
               cat,\"p/3.png\",validation\n\
               dog,6.png,test\n";
    let json = r#"{"path": "p/1.png", "label": "dog", "split": "train"}

        {"file_name": "p/2.png", "label": "cat", "split": "train", "width": 3}
        {"path": "p/3.png", "label": "cat", "split": "val"}
        {"path": "6.png", "label": "dog", "split": "test"}"#;
    for (name, text) in [("a.csv", csv), ("a.jsonl", json)] {
        let (folder, splits) = manifest(name, text);
        let splits = splits.unwrap();
        assert_eq!(splits.classes(), ["cat", "dog"]);
        assert_eq!(
            names(&splits.train, folder.path()),
            ["p/1.png dog", "p/2.png cat"]
        );
        assert_eq!(
            names(splits.valid.as_ref().unwrap(), folder.path()),
            ["p/3.png cat"]
        );
        assert_eq!(names(&splits.test, folder.path()), ["6.png dog"]);
    }
}

#[test]
fn a_manifest_without_splits_is_split() {
    let numbers = "path,label\np/1.png,1\np/2.png,1\np/3.png,1\np/4.png,0\np/5.png,0\n6.png,0\n";
    let (folder, splits) = manifest("a.csv", numbers);
    let splits = splits.unwrap();
    assert_eq!(splits.classes(), ["0", "1"]);
    assert_eq!((splits.train.len(), splits.test.len()), (4, 2));
    let test = open_test(&folder.path().join("a.csv")).unwrap();
    assert_eq!(test.len(), 6);
}

#[test]
fn validation_images_are_used_for_testing_if_there_are_no_test_images() {
    let json = r#"{"path": "p/1.png", "label": 3, "split": "train"}
        {"path": "p/2.png", "label": 4, "split": "train"}
        {"path": "p/3.png", "label": 4, "split": "val"}"#;
    let splits = manifest("a.jsonl", json).1.unwrap();
    assert_eq!(splits.classes(), ["3", "4"]);
    assert!(splits.valid.is_none());
    assert_eq!(splits.test.len(), 1);
}

#[test]
fn each_invalid_manifest_has_its_message() {
    assert_eq!(
        message("a.csv", "file,class\np/1.png,a\n"),
        "a.csv: it has no column `path`; its columns are: file, class"
    );
    assert_eq!(
        message("a.csv", "path,class\np/1.png,a\n"),
        "a.csv: it has no column `label`; its columns are: path, class"
    );
    assert_eq!(
        message("a.csv", "path,label\np/1.png,a\np/7.png,b\np/8.png,b\n"),
        "a.csv, line 3: p/7.png and 1 other file(s) that it names do not exist; correct the paths"
    );
    assert_eq!(
        message("a.csv", "path,label\np/1.png,\n"),
        "a.csv, line 2: its label is empty"
    );
    assert_eq!(
        message(
            "a.csv",
            "path,label,split\np/1.png,a,train\np/2.png,b,train\n6.png,c,test\n"
        ),
        "a.csv, line 4: no training image has the label `c`; labels: a, b"
    );
    assert_eq!(
        message("a.csv", "path,label,split\np/1.png,a,trian\n"),
        "a.csv, line 2: the split is `trian`, but must be train, valid or test"
    );
    assert_eq!(
        message("a.csv", "path,label\n"),
        "a.csv has no training images"
    );
    assert!(message("a.csv", "path,label\np/1.png,a\n").contains("holds only the class `a`"));
    let short = message("a.csv", "path,label\np/1.png\n");
    assert!(short.starts_with("a.csv, line 2: "), "{short}");
    assert_eq!(
        message("a.jsonl", "{\"path\": \"p/1.png\"}\n"),
        "a.jsonl, line 1: it has no `label` that is text or a number"
    );
    let broken = message(
        "a.jsonl",
        "{\"path\": \"p/1.png\", \"label\": 1}\n{\"path\"\n",
    );
    assert!(broken.starts_with("a.jsonl, line 2: "), "{broken}");
    let some = "{\"path\": \"p/1.png\", \"label\": 1, \"split\": \"train\"}\n{\"path\": \"p/2.png\", \"label\": 1}";
    assert_eq!(
        message("a.jsonl", some),
        "a.jsonl, line 2: some lines have a `split` and others have none"
    );
    assert!(message("a.txt", "").contains("is not a folder"));
}

#[test]
fn a_fold_is_used_for_testing_or_for_validation() {
    let classes = [
        "a/1.png", "a/2.png", "a/3.png", "b/4.png", "b/5.png", "b/6.png",
    ];
    let whole = folder(&classes);
    let fold = |folder: &TempDir, index, of| {
        let options = SplitOptions {
            fold: Some(Fold { index, of }),
            ..SplitOptions::default()
        };
        open(folder.path(), &options)
    };
    let mut tested: Vec<String> = (1..=3)
        .flat_map(|index| names(&fold(&whole, index, 3).unwrap().test, whole.path()))
        .collect();
    tested.sort();
    assert_eq!(
        tested,
        [
            "a/1.png a",
            "a/2.png a",
            "a/3.png a",
            "b/4.png b",
            "b/5.png b",
            "b/6.png b"
        ]
    );
    let error = fold(&whole, 1, 4).unwrap_err().to_string();
    assert!(error.contains("splitting needs 4 or more"), "{error}");

    let parts = [
        "train/a/1.png",
        "train/a/2.png",
        "train/b/3.png",
        "train/b/4.png",
        "test/a/5.png",
        "test/b/6.png",
    ];
    let splits = fold(&folder(&parts), 2, 2).unwrap();
    assert_eq!(splits.train.per_class(), [1, 1]);
    assert_eq!(splits.valid.unwrap().per_class(), [1, 1]);
    assert_eq!(splits.test.len(), 2);
    let valid = [&parts[..], &["valid/a/1.png", "valid/b/1.png"]].concat();
    let error = fold(&folder(&valid), 1, 2).unwrap_err().to_string();
    assert!(error.contains("has validation images already"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_rejected_and_others_are_followed() {
    use std::os::unix::fs::symlink;

    let outside = folder(&["c.png"]);
    let inside = folder(&[
        "store/1.png",
        "store/2.png",
        "data/a/x.png",
        "data/a/y.png",
        "data/b/x.png",
    ]);
    let link = inside.path().join("data/b/link.png");
    symlink("../a/x.png", &link).unwrap();
    let all = open(&inside.path().join("data"), &SplitOptions::default()).unwrap();
    assert_eq!(all.train.len() + all.test.len(), 4);
    for target in [outside.path().join("c.png"), "../../store/1.png".into()] {
        std::fs::remove_file(&link).unwrap();
        symlink(&target, &link).unwrap();
        let error = open(&inside.path().join("data"), &SplitOptions::default()).unwrap_err();
        assert!(
            matches!(&error, DataError::LinkLeaves { path, .. } if *path == link),
            "{error}"
        );
    }
    std::fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    let error = open(&inside.path().join("data"), &SplitOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read ") && error.contains("link.png"),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn names_of_files_need_not_be_utf8_but_names_of_classes_must_differ() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let odd = OsStr::from_bytes(b"caf\xe9.png");
    let folder = folder(&["a/1.png", "a/2.png", "b/1.png", "b/2.png"]);
    std::fs::write(folder.path().join("a").join(odd), b"").unwrap();
    let all = open(folder.path(), &SplitOptions::default()).unwrap();
    assert_eq!(all.train.len() + all.test.len(), 5);
    // Two names of classes that are displayed in the same way.
    for name in [&b"caf\xe9"[..], b"caf\xe8"] {
        let class = folder.path().join(OsStr::from_bytes(name));
        std::fs::create_dir(&class).unwrap();
        std::fs::write(class.join("1.png"), b"").unwrap();
        std::fs::write(class.join("2.png"), b"").unwrap();
    }
    let error = open(folder.path(), &SplitOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is not UTF-8 and cannot be told from another's; rename it"),
        "{error}"
    );
}
