//! The supported layouts of image folders, and the errors for other layouts.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use finetune_data::{ImageSet, SplitOptions, open, open_test};
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

fn message(path: &Path) -> String {
    open(path, &SplitOptions::default())
        .unwrap_err()
        .to_string()
}

/// Returns the paths of the files of a set relative to `folder`, with their labels.
fn files(set: &ImageSet, folder: &Path) -> Vec<(String, usize)> {
    let below = |name: String| {
        let path = Path::new(&name).strip_prefix(folder).unwrap().to_owned();
        path.display().to_string()
    };
    set.samples
        .iter()
        .map(|sample| (below(sample.source.name()), sample.label))
        .collect()
}

#[test]
fn images_of_each_split_are_in_the_order_of_their_paths() {
    let folder = folder(&[
        "train/cat/b.JPG",
        "train/cat/a.png",
        "train/cat/more/c.tiff",
        "train/cat/notes.txt",
        "train/cat/.hidden.png",
        "train/Dog/x.webp",
        "train/.git/objects/y.png",
        "train/readme.png",
        "val/Dog/v.gif",
        "val/cat/v.bmp",
        "test/Dog/z.jpeg",
        "test/cat/z.tif",
    ]);
    let splits = open(folder.path(), &SplitOptions::default()).unwrap();
    // Paths are sorted by bytes, so capitals come first.
    assert_eq!(splits.classes(), ["Dog", "cat"]);
    assert_eq!(splits.name, folder.path().display().to_string());
    let wanted = [
        ("train/Dog/x.webp", 0),
        ("train/cat/a.png", 1),
        ("train/cat/b.JPG", 1),
        ("train/cat/more/c.tiff", 1),
    ];
    assert_eq!(
        files(&splits.train, folder.path()),
        wanted.map(|(name, label)| (name.to_owned(), label))
    );
    assert_eq!(splits.valid.unwrap().per_class(), [1, 1]);
    assert_eq!(splits.test.per_class(), [1, 1]);
    assert_eq!(open_test(folder.path()).unwrap().per_class(), [1, 1]);
}

#[test]
fn splits_may_have_the_names_that_the_chapter_uses() {
    let folder = folder(&[
        "train_data/a/1.png",
        "train_data/b/1.png",
        "test_data/a/2.png",
        "test_data/b/2.png",
    ]);
    let splits = open(folder.path(), &SplitOptions::default()).unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (2, 2));
    assert!(splits.valid.is_none());
}

#[test]
fn a_folder_of_classes_is_split_by_the_seed() {
    let names: Vec<String> = (0..8)
        .flat_map(|i| [format!("a/{i}.png"), format!("b/{i}.png")])
        .collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let test = |seed| {
        let options = SplitOptions {
            seed,
            ..SplitOptions::default()
        };
        let splits = open(folder.path(), &options).unwrap();
        // A quarter of 8 is 2.
        assert_eq!(splits.test.per_class(), [2, 2]);
        assert_eq!(splits.train.per_class(), [6, 6]);
        files(&splits.test, folder.path())
    };
    assert_eq!(test(1), test(1));
    assert_ne!(test(1), test(2));
}

#[test]
fn each_invalid_folder_has_its_message() {
    let folder = folder(&[
        "file.png",
        "none/a/b/c/notes.txt",
        "one/cat/1.png",
        "empty/cat/1.png",
        "empty/dog/notes.txt",
        "few/cat/1.png",
        "few/dog/1.png",
        "few/dog/2.png",
        "differ/train/cat/1.png",
        "differ/train/dog/1.png",
        "differ/test/cat/1.png",
        "differ/test/emu/1.png",
        "half/train/cat/1.png",
        "half/train/dog/1.png",
        "half/valid/cat/1.png",
        "other/test_data/cat/1.png",
        "alone/train/cat/1.png",
        "alone/train/dog/1.png",
    ]);
    let at = |name: &str| folder.path().join(name);
    let wrong = [
        (
            "nowhere",
            "`{}` does not exist; give the folder that holds your images, or a .csv, .tsv, .jsonl, .ndjson or .parquet file",
        ),
        (
            "file.png",
            "`{}` is not a folder; give the folder that holds your images, or a .csv, .tsv, .jsonl, .ndjson or .parquet file",
        ),
        (
            "none",
            "`{}` holds no classes; put the images of each class into a folder of its own, e.g. `{}/cat` and `{}/dog`",
        ),
        (
            "one",
            "`{}` holds only the class `cat`; a data set needs two classes or more",
        ),
        (
            "empty",
            "the class folder `{}/dog` holds no images; add some or remove the folder",
        ),
        (
            "few",
            "the class `cat` has 1 image(s); splitting needs 2 or more",
        ),
        (
            "differ",
            "the classes of `{}/test` differ from those of training: missing `dog`; unknown `emu`; make them the same",
        ),
        (
            "half",
            "the classes of `{}/valid` differ from those of training: missing `dog`; make them the same",
        ),
        (
            "other",
            "`{}` has a folder `test_data` but no folder `train_data`; add `{}/train_data`, or give `{}/test_data` to split it automatically",
        ),
        (
            "alone",
            "`{}` has a folder `train` but no folder `test`; add `{}/test`, or give `{}/train` to split it automatically",
        ),
    ];
    for (name, wanted) in wrong {
        let path = at(name);
        assert_eq!(
            message(&path),
            wanted.replace("{}", &path.display().to_string())
        );
    }
}

#[test]
fn a_class_may_be_called_train() {
    let folder = folder(&["train/1.png", "train/2.png", "ship/1.png", "ship/2.png"]);
    let splits = open(folder.path(), &SplitOptions::default()).unwrap();
    assert_eq!(splits.classes(), ["ship", "train"]);
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use finetune_data::Preprocess;

    use super::*;

    #[test]
    fn links_to_folders_above_them_are_not_followed() {
        let folder = folder(&["a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/more/3.png"]);
        symlink(folder.path(), folder.path().join("a/up")).unwrap();
        symlink(folder.path().join("b"), folder.path().join("b/more/up")).unwrap();
        let splits = open(folder.path(), &SplitOptions::default()).unwrap();
        assert_eq!(splits.train.len() + splits.test.len(), 5);
    }

    #[test]
    fn names_need_not_be_utf8() {
        let folder = folder(&["a/1.png", "a/2.png"]);
        let class = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
        // Some file systems do not allow such names.
        if fs::create_dir(&class).is_err() {
            return;
        }
        fs::write(class.join(OsStr::from_bytes(b"\xff1.png")), b"").unwrap();
        fs::write(class.join("2.png"), b"").unwrap();
        let splits = open(folder.path(), &SplitOptions::default()).unwrap();
        assert_eq!(splits.classes(), ["a", "caf\u{fffd}"]);
        let error = splits.train.decode(&Preprocess::square(2)).unwrap_err();
        assert!(error.to_string().starts_with("cannot decode the image "));
    }
}
