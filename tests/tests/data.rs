//! The command on data sets of all kinds, with and without problems.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::{Folder, fails, names};

/// Returns the text of a manifest of the pictures of [`Folder::colors`].
fn manifest(folder: &Folder) -> String {
    let mut lines = vec!["path,label,split\n".to_owned()];
    for part in ["train", "test"] {
        for class in ["red", "green"] {
            let names = names(&folder.path(&format!("data/{part}/{class}")));
            let line = |name| format!("data/{part}/{class}/{name},{class},{part}\n");
            lines.extend(names.into_iter().map(line));
        }
    }
    lines.concat()
}

#[test]
fn a_manifest_gives_the_same_result_as_the_folder() {
    let folder = Folder::colors();
    std::fs::write(folder.path("images.csv"), manifest(&folder)).unwrap();
    // Images and classes have the same order, so the results are equal.
    let train = "train --method linear --epochs 2 --ui none";
    folder.run(&format!("{train} --data data --out a")).ok();
    folder
        .run(&format!(
            "{train} --data images.csv --cache disk --workers 2 --out b"
        ))
        .ok();
    let (a, b) = (folder.json("a/report.json"), folder.json("b/report.json"));
    assert_eq!(a["dataset"]["classes"], serde_json::json!(["green", "red"]));
    assert_eq!(a["dataset"]["classes"], b["dataset"]["classes"]);
    assert_eq!(b["dataset"]["train"], 16);
    assert_eq!(b["runs"][0]["confusion"], a["runs"][0]["confusion"]);
    assert_eq!(names(&folder.path("cache/images")).len(), 2);
    let again = folder.run("evaluate --run b --json").ok().json();
    assert_eq!(again[0]["accuracy"], b["runs"][0]["accuracy"]);
}

#[test]
fn wrong_manifests_are_rejected() {
    let folder = Folder::colors();
    let mut text = manifest(&folder);
    text += "data/train/red/nowhere.png,red,train\n";
    std::fs::write(folder.path("a.csv"), &text).unwrap();
    fails(
        &folder,
        "--data a.csv",
        1,
        "`a.csv`, line 26: `data/train/red/nowhere.png` does not exist",
    );
    let text = text.replace("nowhere", "000") + "data/train/red/000.png,blue,test\n";
    std::fs::write(folder.path("a.csv"), &text).unwrap();
    fails(
        &folder,
        "--data a.csv",
        1,
        "`a.csv`, line 27: no training image has the label `blue`; labels: `green`, `red`",
    );
    std::fs::write(
        folder.path("a.csv"),
        text.replace("path,label", "path,kind"),
    )
    .unwrap();
    fails(
        &folder,
        "--data a.csv",
        1,
        "`a.csv`: it has no column `label`",
    );
}

#[test]
fn a_folder_called_embedded_is_used_and_old_configurations_mean_the_photographs() {
    let folder = Folder::colors();
    let train = "train --method linear --epochs 1 --ui none";
    folder
        .run(&format!("{train} --train-per-class 2 --out a"))
        .ok();
    assert_eq!(
        folder.json("a/report.json")["dataset"]["path"],
        "embedded:signs"
    );
    std::fs::rename(folder.path("data"), folder.path("embedded")).unwrap();
    folder.run(&format!("{train} --data embedded --out b")).ok();
    let dataset = folder.json("b/report.json")["dataset"].clone();
    assert_eq!(
        (&dataset["path"], &dataset["train"]),
        (&"./embedded".into(), &16.into())
    );
    // The run before means the photographs, also beside the folder.
    let again = folder.run("evaluate --run a --json").ok().json();
    assert_eq!(
        again[0]["accuracy"],
        folder.json("a/report.json")["runs"][0]["accuracy"]
    );
    let typed = format!("{train} --data built-in:embedded --train-per-class 2 --out c");
    folder.run(&typed).ok();
    assert_eq!(folder.json("c/report.json")["dataset"]["train"], 10);
    // So does the default.
    folder
        .run(&format!("{train} --train-per-class 2 --out d"))
        .ok();
    assert_eq!(folder.json("d/report.json")["dataset"]["train"], 10);
}

#[test]
fn bad_images_are_left_out_counted_and_listed() {
    let folder = Folder::colors();
    let cut = folder.path("data/train/red/003.png");
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(folder.path("data/train/green/001.png"), b"").unwrap();
    std::fs::write(folder.path("data/test/red/002.png"), b"this is text").unwrap();
    fails(
        &folder,
        "--data data",
        1,
        "cannot decode the image `data/train/green/001.png`",
    );
    for (out, cache) in [
        ("memory", "memory"),
        ("disk", "disk"),
        ("again", "disk"),
        ("none", "none"),
    ] {
        let outcome = folder.run(&format!(
            "train --method linear --epochs 1 --ui none --data data --on-bad-image skip \
             --cache {cache} --out {out}"
        ));
        let outcome = outcome.ok();
        let (stdout, stderr) = (outcome.stdout(), outcome.stderr());
        let sentence = "3 of 24 images could not be used and were left out.";
        assert!(stdout.contains(sentence), "{stdout}");
        let page = std::fs::read_to_string(folder.path(out).join("report.html")).unwrap();
        assert!(page.contains(sentence));
        assert!(page.contains("<td>data/train/green/001.png</td><td>"));
        assert_eq!(
            stderr
                .matches("left out: cannot decode the image `data/")
                .count(),
            3,
            "{stderr}"
        );
        let report = folder.json(&format!("{out}/report.json"));
        let skipped = report["dataset"]["skipped"].as_array().unwrap();
        assert_eq!(skipped.len(), 3);
        assert_eq!(skipped[0]["image"], "data/train/green/001.png");
        assert!(skipped[1]["reason"].as_str().unwrap().contains("003.png"));
        assert_eq!(report["dataset"]["train"], 14);
        assert_eq!(report["dataset"]["test"], 7);
        let first = folder.json("memory/report.json");
        assert_eq!(
            report["runs"][0]["epochs"][0]["train_loss"],
            first["runs"][0]["epochs"][0]["train_loss"]
        );
    }
}

#[test]
fn a_class_with_only_broken_images_is_an_error() {
    let folder = Folder::colors();
    for name in names(&folder.path("data/test/red")) {
        std::fs::write(folder.path("data/test/red").join(name), b"").unwrap();
    }
    fails(
        &folder,
        "--data data --on-bad-image skip",
        1,
        "no image of the class `red` can be used",
    );
}

#[test]
fn images_with_too_many_pixels_are_rejected() {
    let folder = Folder::colors();
    fails(
        &folder,
        "--data data --max-pixels 300",
        1,
        "000.png` has 20×16 pixels, more than the limit of 300 in all",
    );
    // A short file whose header declares 60000×60000 pixels.
    let bomb = folder.path("data/train/red/bomb.png");
    let picture = std::fs::read(folder.path("data/train/red/000.png")).unwrap();
    let claim = 60_000_u32.to_be_bytes();
    let mut header = picture[12..29].to_vec();
    header[4..8].copy_from_slice(&claim);
    header[8..12].copy_from_slice(&claim);
    let sum = crc32(&header).to_be_bytes();
    std::fs::write(
        &bomb,
        [&picture[..12], &header, &sum, &picture[33..]].concat(),
    )
    .unwrap();
    fails(
        &folder,
        "--data data",
        1,
        "bomb.png` has 60000×60000 pixels, more than the limit of 100000000",
    );
}

/// Computes the CRC-32 (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_rejected() {
    let folder = Folder::colors();
    std::fs::copy(
        folder.path("data/train/red/000.png"),
        folder.path("elsewhere.png"),
    )
    .unwrap();
    std::os::unix::fs::symlink(
        folder.path("elsewhere.png"),
        folder.path("data/train/red/link.png"),
    )
    .unwrap();
    fails(
        &folder,
        "--data data",
        1,
        "data/train/red/link.png` is a link to ",
    );
    fails(
        &folder,
        "--data data",
        1,
        "elsewhere.png`, outside of the folder; copy the target into the folder",
    );
}

#[cfg(unix)]
#[test]
fn a_part_of_the_data_set_may_be_a_link_that_stays_inside_the_folder() {
    let folder = Folder::colors();
    let test = folder.path("data/test");
    std::fs::rename(&test, folder.path("data/pool")).unwrap();
    std::os::unix::fs::symlink("pool", &test).unwrap();
    folder
        .run("train --method linear --epochs 1 --ui none --data data --out out")
        .ok();
    std::fs::remove_dir_all(folder.path("out")).unwrap();
    let found = folder.run("data check data --json").json();
    assert_eq!(found["links"][0]["fate"], "followed");
    assert_eq!(found["ignored"], serde_json::json!([]));
    std::fs::rename(folder.path("data/pool"), folder.path("pool")).unwrap();
    std::fs::remove_file(&test).unwrap();
    std::os::unix::fs::symlink(folder.path("pool"), &test).unwrap();
    fails(&folder, "--data data", 1, "data/test` is a link to ");
}

#[cfg(target_os = "linux")]
#[test]
fn names_of_files_and_classes_need_not_be_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::colors();
    let odd = OsStr::from_bytes(b"caf\xe9.png");
    std::fs::copy(
        folder.path("data/train/red/000.png"),
        folder.path("data/train/red").join(odd),
    )
    .unwrap();
    folder
        .run("train --method linear --epochs 1 --ui none --data data --out out")
        .ok();
    assert_eq!(folder.json("out/report.json")["dataset"]["train"], 17);
    std::fs::remove_dir_all(folder.path("out")).unwrap();
    for part in ["data/train", "data/test"] {
        let part = folder.path(part);
        std::fs::rename(part.join("red"), part.join(odd)).unwrap();
    }
    folder
        .run("train --method linear --epochs 1 --ui none --data data --out out")
        .ok();
    let classes = folder.json("out/report.json")["dataset"]["classes"].clone();
    assert_eq!(classes, serde_json::json!(["caf\u{fffd}.png", "green"]));
}

#[test]
fn the_content_determines_the_format() {
    let folder = Folder::colors();
    for name in ["000", "001"] {
        let from = folder.path(&format!("data/train/red/{name}.png"));
        std::fs::rename(&from, from.with_extension("jpg")).unwrap();
    }
    folder
        .run("train --method linear --epochs 1 --ui none --data data --out out")
        .ok();
    let found = folder.run("data check data --json").json();
    assert_eq!(found["wrong_endings"].as_array().unwrap().len(), 2);
    assert!(
        found["wrong_endings"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("PNG")
    );
}

/// A limit on the size of files simulates a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_image_cache_that_cannot_be_written_is_an_error_and_leaves_no_files() {
    let folder = Folder::colors();
    let args = "train --method linear --epochs 1 --ui none --data data --image-size 64 --out out --cache disk";
    let outcome = folder.limited(args, 64);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr());
    let stderr = outcome.stderr();
    assert!(
        stderr.contains("error: cannot cache decoded images in "),
        "{stderr}"
    );
    assert!(
        names(&folder.path("cache/images")).is_empty(),
        "half a file is left"
    );
    assert!(!folder.exists("out"));

    std::fs::remove_dir_all(folder.path("cache")).unwrap();
    std::fs::write(folder.path("cache"), b"in the way").unwrap();
    fails(
        &folder,
        "--data data --cache disk",
        1,
        "cannot cache decoded images in ",
    );
    // Nothing is written into the folder of the images.
    let before = names(&folder.path("data/train/red"));
    folder
        .run("train --method linear --epochs 1 --ui none --data data --out out")
        .ok();
    assert_eq!(names(&folder.path("data/train/red")), before);
}

#[test]
fn the_image_cache_has_a_limit() {
    let folder = Folder::colors();
    let train = "train --method linear --epochs 1 --ui none --data data --cache disk";
    let kept = || names(&folder.path("cache/images"));
    folder
        .run(&format!("{train} --image-size 16 --out first"))
        .ok();
    // Training and test images.
    let first = kept();
    assert_eq!(first.len(), 2);
    folder
        .run(&format!("{train} --image-size 32 --out second"))
        .ok();
    assert_eq!(kept().len(), 4);
    folder
        .run(&format!(
            "{train} --image-size 64 --out third --cache-limit 1e-6"
        ))
        .ok();
    assert_eq!(kept().len(), 2);
    assert!(first.iter().all(|file| !kept().contains(file)));
    fails(
        &folder,
        "--data data --cache-limit=-1",
        2,
        "--cache-limit is -1, but must be at least 0",
    );
}

#[test]
fn augmentation_folds_and_balanced_sampling_are_recorded() {
    let folder = Folder::new();
    folder
        .class("data/red", [200, 20, 20], 6)
        .class("data/green", [20, 200, 20], 12);
    for fold in 1..=3 {
        let out = format!("out{fold}");
        folder
            .run(&format!(
                "train --method linear --epochs 1 --ui none --data data --folds 3 --fold {fold} \
                 --sampling balanced --augment strong --mixup 0.2 --cutmix 1 --random-erasing 0.5 \
                 --rand-augment 1,5 --out {out}"
            ))
            .ok();
        let report = folder.json(&format!("{out}/report.json"));
        assert_eq!(
            (&report["dataset"]["train"], &report["dataset"]["test"]),
            (&12.into(), &6.into())
        );
        let config = folder.json(&format!("{out}/config.json"));
        let augment = &config["runs"][0]["recipe"]["augment"];
        assert_eq!(augment["rand_augment"]["magnitude"], 5);
        assert_eq!(augment["erasing"], 0.5);
    }
    let outcome = folder.run("train --data data --folds 3");
    assert!(
        outcome.code() == 2 && outcome.stderr().contains("--fold <I>"),
        "{}",
        outcome.stderr()
    );
    fails(
        &folder,
        "--data data --folds 3 --fold 4",
        2,
        "they count from 1",
    );
    fails(
        &folder,
        "--data data --mixup=-1",
        2,
        "mixup is -1, but must be from 0",
    );
    fails(&folder, "--data data --rand-augment 2,99", 2, "at most 30");
    fails(
        &folder,
        "--data data --workers 0",
        2,
        "must be from 1 to 1024",
    );
}
