//! Which folders runs may write into, and that one process at a time does.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::process::Stdio;
use std::time::{Duration, Instant};

use util::{Folder, line, names};

const TRAIN: &str =
    "train --data data --image-size 32 --batch-size 4 --method linear --epochs 1 --ui none";

/// Waits until `done` holds.
fn until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "it takes too long"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn has_checkpoint(folder: &Folder) -> bool {
    folder.exists("run")
        && names(&folder.path("run"))
            .iter()
            .any(|name| name.starts_with("checkpoint"))
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let folder = Folder::colors();
    let long = TRAIN.replace(
        "--epochs 1",
        "--epochs 5000 --feature-cache off --checkpoint-seconds 0",
    );
    let mut first = folder.start(&format!("{long} --out run"), Stdio::null());
    until(|| has_checkpoint(&folder));
    let wanted = format!("is in use by process {}", first.id());
    for second in [
        format!("{TRAIN} --out run"),
        format!("{TRAIN} --out run --force"),
        "compare --data data --methods linear --epochs 1 --out run".to_owned(),
        "train --resume run --ui none".to_owned(),
    ] {
        let line = line(&folder.run(&second), 1);
        assert!(line.contains(&wanted), "{second}: {line}");
    }
    assert!(first.try_wait().unwrap().is_none(), "the first one goes on");
    // The process is killed; its run notices that and ends, and then the folder is free.
    first.kill().unwrap();
    first.wait().unwrap();
    let mut resumed = folder.start("train --resume run --ui none", Stdio::null());
    let second_id = resumed.id().to_string();
    until(|| std::fs::read_to_string(folder.path("run/.lock")).is_ok_and(|id| id == second_id));
    resumed.kill().unwrap();
    resumed.wait().unwrap();
}

#[test]
fn a_folder_with_files_is_taken_only_if_that_is_meant() {
    let folder = Folder::colors();
    let out = |out: &str| folder.run(&format!("{TRAIN} --out {out}"));
    std::fs::write(folder.path("file"), "").unwrap();
    std::fs::create_dir(folder.path("mine")).unwrap();
    std::fs::write(folder.path("mine/adapter_linear.safetensors"), "mine").unwrap();
    std::fs::create_dir(folder.path("empty")).unwrap();
    for (name, wanted) in [
        ("file", "is a file"),
        ("mine", "is not empty (it has `adapter_linear.safetensors`)"),
        ("data", "is inside the folder of the images"),
        ("data/run", "is inside the folder of the images"),
        ("data/train/new/run", "is inside the folder of the images"),
    ] {
        let line = line(&out(name), 2);
        assert!(line.contains(wanted), "{name}: {line}");
    }
    assert_eq!(names(&folder.path("data")), ["test", "train"]);
    assert_eq!(names(&folder.path("data/train")), ["green", "red"]);
    out("empty").ok();
    let again = line(&out("empty"), 2);
    assert!(again.contains("already holds a run"), "{again}");
    assert!(!folder.exists("empty/.lock"));

    // The former run's files are replaced, nobody else's.
    std::fs::write(folder.path("empty/notes.txt"), "mine").unwrap();
    std::fs::write(folder.path("empty/checkpoint_sft.safetensors"), "mine").unwrap();
    // One run of one epoch has no charts but its matrix; these are a comparison's and somebody else's.
    assert_eq!(
        names(&folder.path("empty/pictures")),
        ["confusion-linear.svg"]
    );
    for name in ["peak-memory.svg", "mine.svg"] {
        std::fs::write(folder.path(&format!("empty/pictures/{name}")), "mine").unwrap();
    }
    folder
        .run(&format!("{TRAIN} --out empty --force").replace("linear", "lora"))
        .ok();
    let left = names(&folder.path("empty"));
    assert!(
        !left.contains(&"adapter_linear.safetensors".to_owned()),
        "{left:?}"
    );
    for name in ["notes.txt", "checkpoint_sft.safetensors"] {
        let text = std::fs::read_to_string(folder.path(&format!("empty/{name}"))).unwrap();
        assert_eq!(text, "mine");
    }
    assert!(folder.exists("empty/adapter_lora.safetensors"));
    assert_eq!(names(&folder.path("empty/events")), ["lora"]);
    let pictures = names(&folder.path("empty/pictures"));
    assert_eq!(pictures, ["confusion-lora.svg", "mine.svg"]);
}

#[test]
fn a_former_run_stays_if_the_new_one_is_impossible() {
    let folder = Folder::colors();
    folder.run(&format!("{TRAIN} --out run")).ok();
    let before = names(&folder.path("run"));
    folder.class("other/a", [1, 2, 3], 2);
    for wrong in [
        "--lr 0",
        "--data other",
        "--data nowhere",
        "--weights nowhere",
    ] {
        let outcome = folder.run(&format!("{TRAIN} --out run --force {wrong}"));
        assert_ne!(outcome.code(), 0, "{wrong}");
    }
    assert_eq!(names(&folder.path("run")), before);
    folder.run("evaluate --run run").ok();
}

#[test]
fn no_folder_is_left_behind_by_runs_that_did_not_begin() {
    let folder = Folder::colors();
    folder.run(&format!("{TRAIN} --out run")).ok();
    let config = folder.json("run/config.json");
    for (path, value) in [
        ("/recipe/epochs", serde_json::json!(0)),
        ("/recipe/batch_size", serde_json::json!(0)),
        ("/recipe/learning_rate", serde_json::json!(-1.0)),
        ("/data/image_size", serde_json::json!(100_000)),
        ("/data/path", serde_json::json!("nowhere")),
        ("/device", serde_json::json!("tpu")),
        ("/model", serde_json::json!("resnet1")),
        ("/threads", serde_json::json!(1_000_000)),
    ] {
        let mut changed = config.clone();
        *changed["runs"][0].pointer_mut(path).unwrap() = value;
        std::fs::write(folder.path("other.json"), changed.to_string()).unwrap();
        let outcome = folder.run("train --config other.json --out a/b --ui none");
        assert!(
            matches!(outcome.code(), 1 | 2),
            "{path}: {}",
            outcome.stderr()
        );
        line(&outcome, outcome.code());
        assert!(!folder.exists("a"), "{path}");
    }
    // The loss is infinite in the second step: the run has begun, and its plan and events stay.
    let diverging = format!("{TRAIN} --out a/b --lr 1e30").replace("linear", "sft");
    line(&folder.run(&diverging), 1);
    assert!(folder.exists("a/b/plan.json") && folder.exists("a/b/events"));
}
