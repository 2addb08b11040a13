//! Whatever goes on from a run notices that its inputs or its files have changed.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::fmt::Write;
use std::path::Path;

use util::{Folder, line};

const TRAIN: &str = "train --data data --image-size 32 --batch-size 4 --ui none --out run";

/// Weights that a run can start from.
fn pretrained(folder: &Folder, seed: u64) {
    let pretrain =
        format!("pretrain --data data --epochs 1 --out base.safetensors --ui none --seed {seed}");
    folder.run(&pretrain).ok();
}

/// Makes a run that was stopped after its first epoch: its last checkpoint and its plan.
fn unfinished(folder: &Folder, more: &str) {
    folder
        .run(&format!("{TRAIN} {more} --epochs 2 --keep-checkpoints 1"))
        .ok();
    let path = |name: &str| folder.path(&format!("run/{name}"));
    std::fs::rename(path("config.json"), path("plan.json")).unwrap();
    std::fs::remove_file(path("report.json")).unwrap();
    let method = if more.contains("lora") { "lora" } else { "sft" };
    std::fs::rename(
        path(&format!("checkpoint_{method}_epoch1.safetensors")),
        path(&format!("checkpoint_{method}.safetensors")),
    )
    .unwrap();
}

#[test]
fn base_weights_that_were_overwritten_or_are_missing_are_noticed() {
    let folder = Folder::colors();
    pretrained(&folder, 0);
    folder
        .run(&format!(
            "{TRAIN} --method lora --weights base.safetensors --epochs 1"
        ))
        .ok();
    let uses = [
        "evaluate --run run",
        "predict --run run data/test/red/000.png",
        "export --run run --out exported.safetensors",
        "merge --run run --out merged.safetensors",
    ];
    for command in uses {
        folder.run(command).ok();
    }
    let config = folder.json("run/config.json");
    let weights = &config["inputs"]["weights"];
    assert!(
        weights["origin"]
            .as_str()
            .unwrap()
            .ends_with("base.safetensors")
    );
    let sha256 = weights["sha256"].as_str().unwrap().to_owned();
    for name in ["exported.safetensors", "merged.safetensors"] {
        std::fs::remove_file(folder.path(name)).unwrap();
    }
    pretrained(&folder, 1);
    for command in uses {
        let line = line(&folder.run(command), 1);
        assert!(
            line.contains("are no longer those that the run started from")
                && line.contains(&sha256),
            "{command}: {line}"
        );
    }
    std::fs::remove_file(folder.path("base.safetensors")).unwrap();
    for command in uses {
        let line = line(&folder.run(command), 1);
        assert!(
            line.contains("are missing") && line.contains(&sha256),
            "{line}"
        );
    }
    assert!(!folder.exists("exported.safetensors") && !folder.exists("merged.safetensors"));
    // The merged model does not need them.
    folder.run("evaluate --run run --merged").ok();
}

#[test]
fn a_run_is_not_resumed_on_other_base_weights() {
    let folder = Folder::colors();
    pretrained(&folder, 0);
    unfinished(&folder, "--method lora --weights base.safetensors");
    pretrained(&folder, 1);
    let refused = line(&folder.run("train --resume run --ui none"), 1);
    assert!(refused.contains("are no longer those"), "{refused}");
    pretrained(&folder, 0);
    folder.run("train --resume run --ui none").ok();
}

#[test]
fn base_weights_that_were_moved_are_found_by_a_flag_and_must_be_the_same() {
    let folder = Folder::colors();
    pretrained(&folder, 0);
    std::fs::create_dir(folder.path("elsewhere")).unwrap();
    let train = format!("{TRAIN} --method lora --weights base.safetensors --epochs 1");
    folder.run(&train).ok();
    let adapter = || std::fs::read(folder.path("run/adapter_lora.safetensors")).unwrap();
    let wanted = adapter();
    let accuracy = |flags: &str| {
        let evaluated = folder.run(&format!("evaluate --run run --json {flags}"));
        evaluated.ok().json()[0]["confusion"].clone()
    };
    let confusion = accuracy("");
    std::fs::rename(
        folder.path("base.safetensors"),
        folder.path("elsewhere/base.safetensors"),
    )
    .unwrap();
    pretrained(&folder, 1);
    std::fs::rename(
        folder.path("base.safetensors"),
        folder.path("elsewhere/other.safetensors"),
    )
    .unwrap();
    let uses = [
        "evaluate --run run",
        "predict --run run data/test/red/000.png",
        "export --run run --out exported.safetensors",
        "merge --run run --out merged.safetensors",
    ];
    for command in uses {
        let missing = line(&folder.run(command), 1);
        let remedy = "or say with --weights FILE where it is now";
        assert!(
            missing.contains("are missing") && missing.ends_with(remedy),
            "{missing}"
        );
        let other = format!("{command} --weights elsewhere/other.safetensors");
        let other = line(&folder.run(&other), 1);
        assert!(
            other.contains("is not the file that the run started from"),
            "{other}"
        );
        let none = format!("{command} --weights elsewhere/none.safetensors");
        assert!(line(&folder.run(&none), 2).contains("does not exist"));
        folder
            .run(&format!("{command} --weights elsewhere/base.safetensors"))
            .ok();
    }
    assert_eq!(accuracy("--weights elsewhere/base.safetensors"), confusion);

    let path = |name: &str| folder.path(&format!("run/{name}"));
    std::fs::rename(path("config.json"), path("plan.json")).unwrap();
    std::fs::remove_file(path("report.json")).unwrap();
    let resume = "train --resume run --ui none";
    let missing = line(&folder.run(resume), 1);
    assert!(
        missing.ends_with("or say with --weights FILE where it is now"),
        "{missing}"
    );
    let other = line(
        &folder.run(&format!("{resume} --weights elsewhere/other.safetensors")),
        1,
    );
    assert!(
        other.contains("is not the file that the run started from"),
        "{other}"
    );
    folder
        .run(&format!("{resume} --weights elsewhere/base.safetensors"))
        .ok();
    assert_eq!(adapter(), wanted);
    // The folder knows the new place from now on.
    assert_eq!(accuracy(""), confusion);

    folder
        .run(&TRAIN.replace("--out run", "--method linear --epochs 1 --out shipped"))
        .ok();
    let needless = "evaluate --run shipped --weights elsewhere/base.safetensors";
    let needless = line(&folder.run(needless), 2);
    assert!(
        needless.contains("started from weights inside the program; leave it out"),
        "{needless}"
    );
}

#[test]
fn a_run_is_not_resumed_on_other_images() {
    let folder = Folder::colors();
    unfinished(&folder, "--method lora");
    let resume = "train --resume run --ui none";
    let rename = |from: &str, to: &str| {
        std::fs::rename(folder.path(from), folder.path(to)).unwrap();
    };
    let refused = |wanted: &str| {
        let line = line(&folder.run(resume), 1);
        assert!(
            line.contains("are not those that the run was started with") && line.contains(wanted),
            "{line}"
        );
        assert!(folder.exists("run/plan.json") && !folder.exists("run/.lock"));
    };
    rename("data/train/green", "data/train/zebra");
    rename("data/test/green", "data/test/zebra");
    refused("the class `green` is gone and `zebra` is new");
    rename("data/train/zebra", "data/train/green");
    rename("data/test/zebra", "data/test/green");
    rename("data/train/red/000.png", "data/train/green/x.png");
    refused("the train images are 9 of `green` instead of 8, 7 of `red` instead of 8");
    rename("data/train/green/x.png", "data/train/red/000.png");
    std::fs::copy(
        folder.path("data/test/red/000.png"),
        folder.path("data/test/red/x.png"),
    )
    .unwrap();
    refused("the test images are 5 of `red` instead of 4");
    std::fs::remove_file(folder.path("data/test/red/x.png")).unwrap();
    folder.run(resume).ok();
}

#[test]
fn an_image_that_was_overwritten_by_one_of_the_same_size_is_noticed() {
    let folder = Folder::colors();
    // Pictures whose files have the same number of bytes.
    let picture = |name: &str, red: u8| {
        let pixels = image::RgbImage::from_pixel(8, 8, image::Rgb([red, 0, 0]));
        pixels.save(folder.path(name)).unwrap();
        std::fs::metadata(folder.path(name)).unwrap().len()
    };
    let all = [
        "data/train/red/000.bmp",
        "data/train/red/001.bmp",
        "data/test/red/000.bmp",
    ];
    let overwrite = |red: u8| all.map(|name| picture(name, red));
    let sizes = overwrite(200);
    unfinished(
        &folder,
        "--method lora --valid-fraction 0.25 --train-per-class 7",
    );
    let resume = "train --resume run --ui none";
    for cache in ["auto", "disk"] {
        assert_eq!(overwrite(201), sizes);
        let refused = line(&folder.run(&format!("{resume} --cache {cache}")), 1);
        let wanted = format!(
            "are not those that the run was started with: the contents of `{}` and of ",
            folder.path(all[0]).display()
        );
        // One of the training images may be among those that the run has no use for.
        let first = refused.contains(&wanted) && refused.contains("other image");
        let second = refused.contains(&wanted.replace("000.bmp", "001.bmp"));
        assert!(first || second, "{refused}");
        assert!(refused.contains("have changed; undo this"), "{refused}");
        assert!(folder.exists("run/plan.json") && !folder.exists("run/.lock"));
    }
    overwrite(200);
    folder.run(resume).ok();
    picture(all[2], 9);
    let noted = folder.run("evaluate --run run").ok().stderr();
    let wanted = format!(
        "the images are not those that the run was started with: the contents of `{}` have changed",
        folder.path(all[2]).display()
    );
    assert!(noted.lines().any(|line| line == wanted), "{noted}");
    // Whoever repeats the run is told as well.
    let again = "train --config run/config.json --out again --ui none";
    let noted = folder.run(again).ok().stderr();
    assert!(
        noted.contains("those of the runs that are repeated: the contents of"),
        "{noted}"
    );
    // A folder of a version that recorded no contents is used unchecked.
    let mut config = folder.json("run/config.json");
    for part in config["inputs"]["data"]["parts"].as_array_mut().unwrap() {
        assert!(part.as_object_mut().unwrap().remove("contents").is_some());
    }
    std::fs::write(folder.path("run/config.json"), config.to_string()).unwrap();
    let noted = folder.run("evaluate --run run").ok().stderr();
    assert!(!noted.contains("the contents of"), "{noted}");
}

/// Flips the lowest bit of a byte from the end of a file.
fn flip(path: &Path, from_end: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_bit_that_was_flipped_in_a_file_of_a_run_is_noticed() {
    let folder = Folder::colors();
    let train = format!("{TRAIN} --method lora --epochs 2 --keep-checkpoints 2");
    folder.run(&train).ok();
    for (file, command) in [
        ("adapter_lora.safetensors", "evaluate --run run"),
        (
            "finetuned_model_lora.safetensors",
            "evaluate --run run --merged",
        ),
        (
            "checkpoint_lora_epoch1.safetensors",
            "evaluate --run run --epoch 1",
        ),
    ] {
        folder.run(command).ok();
        let path = folder.path(&format!("run/{file}"));
        for from_end in [1, 4] {
            flip(&path, from_end);
            let line = line(&folder.run(command), 1);
            assert!(line.contains(file), "{line}");
            assert!(
                line.contains("is not the file that the run wrote")
                    || line.contains("its values have changed since it was written"),
                "{line}"
            );
            flip(&path, from_end);
        }
        folder.run(command).ok();
    }
}

#[test]
fn files_of_another_run_are_noticed() {
    let folder = Folder::colors();
    let train = format!("{TRAIN} --method lora --epochs 2 --keep-checkpoints 2");
    folder.run(&train).ok();
    let other = train.replace("--out run", "--out other");
    // The same names, shapes and images, but other base weights.
    pretrained(&folder, 0);
    folder
        .run(&format!("{other} --weights base.safetensors"))
        .ok();
    for (file, command) in [
        (
            "adapter_lora.safetensors",
            "predict --run run data/test/red/000.png",
        ),
        (
            "checkpoint_lora_epoch1.safetensors",
            "evaluate --run run --epoch 1",
        ),
    ] {
        let own = folder.path(&format!("run/{file}"));
        let bytes = std::fs::read(&own).unwrap();
        std::fs::copy(folder.path(&format!("other/{file}")), &own).unwrap();
        let line = line(&folder.run(command), 1);
        assert!(
            line.contains(file) && line.contains("another run"),
            "{line}"
        );
        std::fs::write(&own, bytes).unwrap();
    }
}

#[test]
fn test_images_are_matched_by_the_names_of_their_classes() {
    let folder = Folder::colors();
    folder
        .class("data/train/blue", [20, 20, 200], 8)
        .class("data/test/blue", [10, 10, 190], 4);
    folder.run(&format!("{TRAIN} --method sft --epochs 8")).ok();
    let confusion = |data: &str| {
        let evaluated = folder
            .run(&format!("evaluate --run run --json --data {data}"))
            .ok();
        (evaluated.json()[0]["confusion"].clone(), evaluated.stderr())
    };
    let (whole, said) = confusion("data");
    assert!(!said.contains("matched by name"), "{said}");
    // Two of the three classes: blue is 0, green 1 and red 2 for the model.
    folder
        .class("two/green", [10, 190, 10], 4)
        .class("two/red", [190, 10, 10], 4);
    let (two, said) = confusion("two");
    assert_eq!((&two[1], &two[2]), (&whole[1], &whole[2]));
    assert_eq!(two[0], serde_json::json!([0, 0, 0]));
    let wanted = "the test images have 2 of the 3 classes of the model, matched by name";
    assert!(said.lines().any(|line| line == wanted), "{said}");
    // A manifest whose classes have another order.
    let mut rows = String::from("path,label\n");
    for class in ["red", "blue", "green"] {
        for index in 0..4 {
            writeln!(rows, "data/test/{class}/00{index}.png,{class}").unwrap();
        }
    }
    std::fs::write(folder.path("test.csv"), rows).unwrap();
    assert_eq!(confusion("test.csv").0, whole);
    std::fs::rename(folder.path("two/red"), folder.path("two/reds")).unwrap();
    let line = line(&folder.run("evaluate --run run --data two"), 1);
    assert!(
        line.ends_with(
            "the test images have a class that the model was not trained on: `reds` (did you mean \
             `red`?); it knows `blue`, `green`, `red`"
        ),
        "{line}"
    );
}

#[test]
fn a_picture_that_cannot_be_read_does_not_concern_the_others() {
    let folder = Folder::colors();
    folder.run(&format!("{TRAIN} --method sft --epochs 1")).ok();
    std::fs::write(folder.path("data/test/green/broken.png"), "no picture").unwrap();
    std::fs::write(folder.path("data/test/notes.txt"), "no picture").unwrap();
    let outcome = folder.run("predict --run run data/test/red/003.png nowhere.png data/test");
    assert_eq!(outcome.code(), 1);
    let paths: Vec<String> = outcome
        .stdout()
        .lines()
        .map(|line| line.split_once(": ").unwrap().0.to_owned())
        .collect();
    let test = |name: &str| format!("data/test/{name}.png");
    let mut wanted = vec![test("red/003")];
    for class in ["green", "red"] {
        wanted.extend((0..4).map(|index| test(&format!("{class}/00{index}"))));
    }
    assert_eq!(paths, wanted);
    let said = outcome.stderr();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert!(
        lines[0].contains("nowhere.png") && lines[1].contains("broken.png"),
        "{said}"
    );
    assert!(lines[2].starts_with("1 file is left out"), "{said}");
    assert!(lines[3].starts_with("11 images in "), "{said}");
    assert_eq!(lines[4], "error: 2 of 11 images could not be classified");

    let outcome = folder.run("predict --run run --json data/test/green nowhere.png");
    assert_eq!(outcome.code(), 1);
    let all = outcome.json();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 6);
    assert!(all[0]["class"].is_string() && all[0]["error"].is_null());
    assert!(all[4]["error"].as_str().unwrap().contains("broken.png"));
    assert!(all[5]["class"].is_null() && all[5]["path"] == "nowhere.png");
}
