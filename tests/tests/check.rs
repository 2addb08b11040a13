//! `data check` finds the problems of a folder before training.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::Folder;

#[test]
fn broken_images_duplicates_and_leaks_are_found() {
    let folder = Folder::new();
    // The embedded photographs all differ.
    for (part, from) in [("train", 0), ("test", 12)] {
        for class in ["three", "four"] {
            std::fs::create_dir_all(folder.path(&format!("data/{part}/{class}"))).unwrap();
        }
        let splits = finetune::data::embedded_signs();
        for (index, sample) in splits
            .train
            .samples
            .iter()
            .step_by(30)
            .skip(from)
            .take(12)
            .enumerate()
        {
            let finetune::data::Source::Memory { bytes, .. } = sample.source else {
                unreachable!("they are embedded")
            };
            let class = if index < 8 { "three" } else { "four" };
            let file = format!("data/{part}/{class}/{index:02}.jpg");
            std::fs::write(folder.path(&file), bytes).unwrap();
        }
    }
    let clean = folder.run("data check data").ok();
    assert!(
        clean
            .stdout()
            .contains("train       12 images: `four` 4, `three` 8"),
        "{}",
        clean.stdout()
    );
    assert!(
        clean.stdout().contains("`four` has 4 training images"),
        "{}",
        clean.stdout()
    );

    // Adds a copy of a test picture, a copy with another size and quality, and a broken picture.
    let copy = |from: &str, to: &str| std::fs::copy(folder.path(from), folder.path(to)).unwrap();
    copy("data/train/three/00.jpg", "data/test/three/copy.jpg");
    let picture = image::open(folder.path("data/train/four/08.jpg")).unwrap();
    picture
        .resize_exact(160, 160, image::imageops::FilterType::Triangle)
        .save(folder.path("data/train/three/bigger.png"))
        .unwrap();
    std::fs::write(folder.path("data/train/four/broken.jpg"), b"not an image").unwrap();
    let found = folder.run("data check data --json");
    assert_eq!(found.code(), 1);
    assert!(
        found.stderr().contains("results on data would be wrong"),
        "{}",
        found.stderr()
    );
    let found = found.json();
    assert_eq!(found["broken"].as_array().unwrap().len(), 1);
    assert!(
        found["broken"][0]["image"]
            .as_str()
            .unwrap()
            .ends_with("broken.jpg")
    );
    let groups = found["duplicates"].as_array().unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    let group = |end: &str| {
        let has = |group: &&serde_json::Value| {
            let mut images = group["images"].as_array().unwrap().iter();
            images.any(|image| image.as_str().unwrap().ends_with(end))
        };
        let group = groups.iter().find(has).unwrap();
        ["exact", "leak", "labels_differ"].map(|key| group[key].as_bool().unwrap())
    };
    assert_eq!(group("copy.jpg"), [true, true, false]);
    assert_eq!(group("bigger.png"), [false, false, true]);
    let told = folder.run("data check data").stdout();
    assert!(told.contains("identical, in several parts: "), "{told}");
    assert!(
        told.contains("nearly identical, with several labels: "),
        "{told}"
    );
    assert!(
        told.contains("→ remove or replace the 1 image(s)"),
        "{told}"
    );

    let missing = folder.run("data check nowhere");
    assert_eq!(missing.code(), 2);
    assert!(missing.stderr().contains("`nowhere` does not exist"));
}

#[test]
fn images_that_look_alike_are_no_error_and_no_images_are_to_be_discarded() {
    let folder = Folder::new();
    // Pictures of one colour, of which those of a class look the same but for the brightness.
    for (part, other) in [("train", 20), ("test", 21)] {
        for (class, count) in [("red", 60_u8), ("green", 5)] {
            let path = folder.path(&format!("data/{part}/{class}"));
            std::fs::create_dir_all(&path).unwrap();
            for index in 0..count {
                let light = 100 + index;
                let color = if class == "red" {
                    [light, other, 0]
                } else {
                    [other, light, 0]
                };
                let picture = image::RgbImage::from_pixel(16, 16, image::Rgb(color));
                picture.save(path.join(format!("{index}.png"))).unwrap();
            }
        }
    }
    let outcome = folder.run("data check data").ok();
    let text = outcome.stdout();
    assert!(
        text.starts_with("read as: folder with parts `train` (train) and `test` (test)"),
        "{text}"
    );
    assert!(
        text.contains("train with --sampling balanced or --class-weights balanced"),
        "{text}"
    );
    assert!(!text.contains("--train-per-class"), "{text}");
    assert!(!text.contains("in several splits"), "{text}");
}

#[test]
fn what_was_understood_is_shown() {
    let folder = Folder::colors();
    std::fs::rename(folder.path("data/train"), folder.path("data/Training")).unwrap();
    std::fs::rename(folder.path("data/test"), folder.path("data/val")).unwrap();
    let outcome = folder.run("data check data");
    let text = outcome.stdout();
    assert!(
        text.starts_with(
            "read as: folder with parts `Training` (train) and `val` (valid), one folder per class\n\
             note: no test part: `val` is used for testing\n"
        ),
        "{text}"
    );
    let found = folder.run("data check data --json").json();
    assert_eq!(found["understood"]["parts"][1]["from"], "val");
    // A folder that is called like the built-in photographs is used if it is there.
    std::fs::rename(folder.path("data"), folder.path("embedded")).unwrap();
    let text = folder.run("data check embedded").stdout();
    assert!(
        text.contains(
            "note: `./embedded` is the folder here; the data set that is part of the program is \
             `built-in:embedded`\n"
        ),
        "{text}"
    );
    let built_in = folder.run("data check built-in:embedded --json").json();
    assert_eq!(built_in["parts"][0]["classes"]["0"], 150);
}

/// Returns a folder with harmless links, and with files that are not images of the data set.
#[cfg(unix)]
fn with_links_and_other_files() -> Folder {
    use std::os::unix::fs::symlink;

    let folder = Folder::colors();
    let from = |name: &str| folder.path(&format!("data/train/{name}"));
    std::fs::copy(from("red/000.png"), folder.path("elsewhere.png")).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(from(name), bytes).unwrap();
    let png = std::fs::read(from("red/001.png")).unwrap();
    put("red/notes.txt", b"none");
    put("red/.DS_Store", b"none");
    put("red/photo.bak", &png);
    put("red/phone.HEIC", b"none");
    put("loose.png", &png);
    put("readme", b"none");
    std::fs::create_dir_all(folder.path("data/old/red")).unwrap();
    symlink("001.png", from("red/inside.png")).unwrap();
    symlink("..", from("red/up")).unwrap();
    folder
}

#[cfg(unix)]
#[test]
fn links_and_ignored_files_are_listed() {
    use std::os::unix::fs::symlink;

    let folder = with_links_and_other_files();
    let from = |name: &str| folder.path(&format!("data/train/{name}"));
    // None of these makes a run fail.
    let outcome = folder.run("data check data --json");
    assert!(!outcome.stderr().contains("link"), "{}", outcome.stderr());
    let found = outcome.json();
    assert_eq!(found["parts"][0]["classes"]["red"], 9);
    let ignored: Vec<_> = found["ignored"].as_array().unwrap().iter().collect();
    let ignored: Vec<_> = ignored
        .iter()
        .map(|file| {
            (
                file["path"].as_str().unwrap(),
                file["why"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        ignored,
        [
            ("data/old", "place"),
            ("data/train/loose.png", "place"),
            ("data/train/readme", "ending"),
            ("data/train/red/.DS_Store", "hidden"),
            ("data/train/red/notes.txt", "ending"),
            ("data/train/red/phone.HEIC", "format"),
            ("data/train/red/photo.bak", "misnamed"),
        ]
    );
    let links = |found: &serde_json::Value| {
        let links = found["links"].as_array().unwrap().clone();
        let link = |link: serde_json::Value| {
            let [link, target, fate] = ["link", "target", "fate"].map(|key| link[key].clone());
            let target = target.as_str().unwrap().to_owned();
            let name = std::path::Path::new(&target).file_name();
            let name = name.map(|name| name.to_str().unwrap().to_owned());
            (link, name.unwrap_or(target), fate)
        };
        links.into_iter().map(link).collect::<Vec<_>>()
    };
    let told = |link: &str, target: &str, fate: &str| (link.into(), target.to_owned(), fate.into());
    assert_eq!(
        links(&found),
        [
            told("data/train/red/inside.png", "001.png", "followed"),
            told("data/train/red/up", "train", "loops"),
        ]
    );
    let text = folder.run("data check data").stdout();
    for line in [
        "ignored, next to the folders of classes or splits, not in one: `data/old`, `data/train/loose.png`\n",
        "ignored, hidden: `data/train/red/.DS_Store`\n",
        "ignored, images by their content, but not by their extension: `data/train/red/photo.bak`\n",
        "/data/train/red/001.png` (followed)\n",
        "→ 1 image(s) are left out because of their extension: rename them",
        "→ 1 image(s) are of a format that is not supported: convert them to PNG or JPEG",
        "→ 1 link(s) lead to a folder above them",
    ] {
        assert!(text.contains(line), "{text}");
    }

    // All problems that make a run fail are listed, not only the first.
    symlink(folder.path("elsewhere.png"), from("green/a.png")).unwrap();
    symlink(folder.path("elsewhere.png"), from("green/b.png")).unwrap();
    symlink("gone.png", from("green/c.png")).unwrap();
    let refused = folder.run("data check data --json");
    assert_eq!(refused.code(), 1);
    let said = refused.stderr();
    assert!(
        said.contains("green/a.png` is a link to ") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(
        links(&refused.json())[..3],
        [
            told("data/train/green/a.png", "elsewhere.png", "leaves"),
            told("data/train/green/b.png", "elsewhere.png", "leaves"),
            told("data/train/green/c.png", "gone.png", "broken"),
        ]
    );
    let text = folder.run("data check data").stdout();
    assert!(
        text.contains("elsewhere.png` (leaves the folder, rejected)\n"),
        "{text}"
    );
    assert!(
        text.contains("→ 2 link(s) lead out of the folder and are rejected: copy"),
        "{text}"
    );
    assert!(
        text.contains("→ 1 link(s) have no target: remove"),
        "{text}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_listed() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::colors();
    let odd = folder
        .path("data/train/red")
        .join(OsStr::from_bytes(b"caf\xe9.png"));
    std::fs::rename(folder.path("data/train/red/000.png"), odd).unwrap();
    let found = folder.run("data check data --json").json();
    assert_eq!(
        found["not_utf8"],
        serde_json::json!(["data/train/red/caf\u{fffd}.png"])
    );
    let text = folder.run("data check data").stdout();
    assert!(
        text.contains("not UTF-8: `data/train/red/caf\u{fffd}.png`\n"),
        "{text}"
    );
    assert!(
        text.contains("→ 1 name(s) are not UTF-8: rename them"),
        "{text}"
    );
}
