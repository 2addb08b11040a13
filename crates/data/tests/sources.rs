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
        message("a.csv", "where,class\np/1.png,a\n"),
        "`a.csv`: it has no column `path`; its columns are: `where`, `class`"
    );
    assert_eq!(
        message("a.csv", "path,kind\np/1.png,a\n"),
        "`a.csv`: it has no column `label`; its columns are: `path`, `kind`"
    );
    assert_eq!(
        message("a.csv", "path,label\np/1.png,a\np/7.png,b\np/8.png,b\n"),
        "`a.csv`, line 3: `p/7.png` and 1 other file(s) that it names do not exist; correct the paths"
    );
    assert_eq!(
        message("a.csv", "path,label\np/1.png,\n"),
        "`a.csv`, line 2: its label is empty"
    );
    assert_eq!(
        message(
            "a.csv",
            "path,label,split\np/1.png,a,train\np/2.png,b,train\n6.png,c,test\n"
        ),
        "`a.csv`, line 4: no training image has the label `c`; labels: `a`, `b`"
    );
    assert_eq!(
        message("a.csv", "path,label,split\np/1.png,a,trian\n"),
        "`a.csv`, line 2: the split is `trian`, but must be train, valid or test"
    );
    assert_eq!(
        message("a.csv", "path,label\n"),
        "`a.csv` has no training images"
    );
    assert!(message("a.csv", "path,label\np/1.png,a\n").contains("holds only the class `a`"));
    let short = message("a.csv", "path,label\np/1.png\n");
    assert!(short.starts_with("`a.csv`, line 2: "), "{short}");
    assert_eq!(
        message("a.jsonl", "{\"path\": \"p/1.png\"}\n"),
        "`a.jsonl`, line 1: it has no key `label`; its keys are: `path`"
    );
    let broken = message(
        "a.jsonl",
        "{\"path\": \"p/1.png\", \"label\": 1}\n{\"path\"\n",
    );
    assert!(broken.starts_with("`a.jsonl`, line 2: "), "{broken}");
    let some = "{\"path\": \"p/1.png\", \"label\": 1, \"split\": \"train\"}\n{\"path\": \"p/2.png\", \"label\": 1}";
    assert_eq!(
        message("a.jsonl", some),
        "`a.jsonl`, line 2: some lines have a `split` and others have none"
    );
    assert!(message("a.txt", "").contains("`a.txt` is not a folder"));
}

#[test]
fn the_columns_of_manifests_have_many_names() {
    let flags =
        "fname,class,is_valid\np/1.png,a,False\np/2.png,b,False\np/3.png,a,True\np/4.png,b,True\n";
    let train = ["p/1.png a", "p/2.png b"];
    let test = ["p/3.png a", "p/4.png b"];
    for (text, layout) in [
        (
            flags.to_owned(),
            "manifest with the columns `fname` (path), `class` (label) and `is_valid` (part)",
        ),
        (
            flags
                .replace("is_valid", "set")
                .replace("False", "Training")
                .replace("True", "TEST"),
            "manifest with the columns `fname` (path), `class` (label) and `set` (part)",
        ),
        (
            flags
                .replace("is_valid", "Usage")
                .replace("False", "train")
                .replace("True", "val"),
            "manifest with the columns `fname` (path), `class` (label) and `Usage` (part)",
        ),
        (
            flags
                .replace("is_valid", "is_train")
                .replace("False", "1")
                .replace("True", "0"),
            "manifest with the columns `fname` (path), `class` (label) and `is_train` (part)",
        ),
        (
            flags
                .replace(",False", ",0,0")
                .replace(",True", ",0,1")
                .replace("is_valid", "is_valid,Is Test"),
            "manifest with the columns `fname` (path), `class` (label) and `is_valid`, `Is Test` (part)",
        ),
    ] {
        let (folder, splits) = manifest("a.csv", &text);
        let splits = splits.unwrap();
        assert_eq!(splits.understood().layout, layout);
        assert_eq!(names(&splits.train, folder.path()), train, "{text}");
        assert_eq!(names(&splits.test, folder.path()), test, "{text}");
        assert!(splits.valid.is_none());
    }
    // A column that may be a part and is not.
    let folds = flags
        .replace("is_valid", "fold")
        .replace("False", "0")
        .replace("True", "1");
    let splits = manifest("a.csv", &folds).1.unwrap();
    assert_eq!(splits.train.len() + splits.test.len(), 4);
    assert_eq!(
        splits.understood().notes,
        [
            "the column `fold` is not used, because none of its values is the name of a part (train, \
             valid, test)"
        ]
    );
    assert_eq!(
        message("a.csv", &folds.replace(",0\n", ",train\n")),
        "`a.csv`, line 4: the `fold` is `1`, but must be train, valid or test"
    );
    let both = flags
        .replace("is_valid", "is_valid,split")
        .replace(",False", ",True,train")
        .replace(",True\n", ",False,test\n");
    let (folder, splits) = manifest("a.csv", &both);
    let splits = splits.unwrap();
    assert_eq!(names(&splits.train, folder.path()), train);
    assert_eq!(
        splits.understood().notes,
        ["the column `is_valid` is not used, because `split` is"]
    );
    assert_eq!(
        message("a.csv", &flags.replace("True", "perhaps")),
        "`a.csv`, line 4: its `is_valid` is `perhaps`, but must be true or false"
    );
}

#[test]
fn manifests_may_come_from_other_systems() {
    let csv = "path,label,split\np/1.png,a,train\np/2.png,b,train\np/3.png,a,test\n";
    let json = r#"{"path": "p/1.png", "label": "a", "split": "train"}
{"path": "p/2.png", "label": "b", "split": "train"}
{"path": "p/3.png", "label": "a", "split": "test"}
"#;
    for (name, text) in [
        ("a.csv", csv.replace(',', ";")),
        ("a.csv", csv.replace(',', "\t")),
        ("a.TSV", csv.replace(',', "\t")),
        ("a.csv", csv.replace(',', "|")),
        ("a.csv", format!("sep=;\n{}", csv.replace(',', ";"))),
        ("a.csv", csv.replace('\n', "\r\n")),
        ("a.csv", format!("\u{feff}{csv}")),
        (
            "a.csv",
            format!("\n{}  \n,,\n\n", csv.replace("p/2", "\np/2")),
        ),
        ("a.csv", csv.replace("p/", r"p\")),
        ("a.csv", csv.replace("p/", ".\\p\\")),
        ("a.csv", csv.trim_end().to_owned()),
        ("a.jsonl", format!("\u{feff}{json}")),
        ("a.jsonl", json.replace('\n', "\r\n")),
        ("a.jsonl", json.replace("p/", r"p\\")),
    ] {
        let (folder, splits) = manifest(name, &text);
        let splits = splits.unwrap_or_else(|error| panic!("{text}: {error}"));
        let train: Vec<String> = names(&splits.train, folder.path())
            .iter()
            .map(|name| name.replace("./", ""))
            .collect();
        assert_eq!(train, ["p/1.png a", "p/2.png b"], "{text}");
        assert_eq!(splits.test.len(), 1);
    }
    let (_, splits) = manifest("a.csv", "\u{ff}\u{fe}");
    assert!(splits.is_err());
    let folder = folder(&FILES);
    let path = folder.path().join("a.csv");
    let wide: Vec<u8> = csv.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, [b"\xff\xfe", wide.as_slice()].concat()).unwrap();
    let error = open(&path, &SplitOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it is UTF-16 text; save it as UTF-8"),
        "{error}"
    );
    std::fs::write(&path, b"path,label\np/1.png,caf\xe9\np/2.png,b\n").unwrap();
    let error = open(&path, &SplitOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("line 2: it is not UTF-8 text; save it as UTF-8"),
        "{error}"
    );
}

#[test]
fn rows_that_are_too_long_are_rejected_and_not_shown() {
    let cell = "x".repeat(3_000_000);
    let columns = "x,".repeat(1_000_000);
    for (name, text, wanted) in [
        (
            "a.csv",
            format!("path,label\np/1.png,{cell}\n"),
            "`a.csv`, line 2: a row has more than 1048576 bytes",
        ),
        (
            "a.csv",
            format!("path,label\np/1.png,\"{}\n", "x\n".repeat(1_000_000)),
            "`a.csv`, line 2: a row has more than 1048576 bytes",
        ),
        (
            "a.csv",
            format!("{columns}\n"),
            "`a.csv`, line 1: a row has more than 1048576 bytes",
        ),
        (
            "a.csv",
            format!("{}\n", &columns[..100_000]),
            "its columns are: `x`, `x`, `x`, `x`, `x`, `x`, `x`, `x`, `x`, `x` and 49991 more",
        ),
        (
            "a.csv",
            format!("path,label\np/1.png,a\np/2.png,b\n{}\n", &cell[..1_000_000]),
            "`a.csv`, line 4: it has 1 cell(s), but the first line has 2",
        ),
        (
            "a.csv",
            format!("path,label,split\np/1.png,a,{}\n", &cell[..1_000_000]),
            "(999800 characters left out)",
        ),
        (
            "a.jsonl",
            format!("{{\"path\": \"{cell}\"}}"),
            "`a.jsonl`, line 1: a row has more than 1048576 bytes",
        ),
    ] {
        let error = message(name, &text);
        assert!(
            error.contains(wanted),
            "{}",
            &error[..error.len().min(2000)]
        );
        assert!(error.len() < 1000);
    }
}

#[cfg(unix)]
#[test]
fn named_pipes_and_devices_are_errors() {
    let folder = folder(&[
        "a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png",
    ]);
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.path().join(name))
            .status();
        assert!(made.unwrap().success());
    };
    pipe("a/pipe.png");
    pipe("b/pipe");
    let splits = open(folder.path(), &SplitOptions::default()).unwrap();
    let understood = splits.understood();
    assert_eq!(
        understood.left_out[0].why.reason(),
        "named pipes, sockets or devices"
    );
    let all = [splits.train.samples, splits.test.samples].concat();
    assert_eq!(all.len(), 7);
    let pipe_only = ImageSet {
        classes: vec!["a".to_owned()],
        samples: all
            .into_iter()
            .filter(|sample| sample.source.name().contains("pipe"))
            .collect(),
    };
    let error = pipe_only
        .decode(&finetune_data::Preprocess::square(2))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it is a named pipe, not a regular file"),
        "{error}"
    );
    pipe("m.csv");
    let error = open(&folder.path().join("m.csv"), &SplitOptions::default())
        .unwrap_err()
        .to_string();
    assert!(!error.is_empty(), "{error}");
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
