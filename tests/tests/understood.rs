//! What the command says about what it understood, before it computes.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::{Folder, line};

const SMALL: &str = "--image-size 32 --batch-size 4 --epochs 1";

#[test]
fn the_block_and_the_report_say_what_was_understood() {
    let folder = Folder::colors();
    folder.class("data/train/red", [200, 20, 20], 9);
    std::fs::write(folder.path("data/train/red/broken.png"), "no picture").unwrap();
    let compare = format!(
        "compare --data data --methods linear,lora --on-bad-image skip --seeds 2 {SMALL} --out run \
         --train-per-class 1000 --augment light"
    );
    let outcome = folder.run(&compare).ok();
    let said = outcome.stderr();
    for wanted in [
        "data     data · folder",
        "2 classes: green, red",
        "train 17: 8 green, 9 red (1\u{202f}000 asked for)",
        "test 8, 4 of each class",
        "1 left out, unreadable",
        "model    resnet8-64 · 7",
        "images   32×32 pixels (",
        "methods  linear  ",
        "lora    ",
        // The 17th image is less than a batch.
        "recipe   1 epoch of 5 steps · batches of 4 · adam",
        "augmentation: ",
        "seeds 0 to 1",
        "device   cpu, ",
        "output   run",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    // It comes before anything that is computed.
    let block = said.find("output   run").unwrap();
    let first = said.find("step 1/").unwrap();
    assert!(block < first, "{said}");
    let understood = &folder.json("run/report.json")["understood"];
    assert_eq!(
        understood["data"]["classes"],
        serde_json::json!(["green", "red"])
    );
    assert_eq!(
        understood["data"]["parts"][0]["per_class"],
        serde_json::json!([8, 9])
    );
    assert_eq!(understood["methods"][1]["name"], "lora");
    assert_eq!(understood["seeds"], serde_json::json!([0, 1]));
    assert_eq!(understood["out"], "run");
    let trained = &folder.json("run/report.json")["runs"][1]["trainable_parameters"];
    assert_eq!(understood["methods"][1]["trainable_parameters"], *trained);
    assert!(
        outcome
            .stdout()
            .contains("lora (9 per class, 1000 asked for)"),
        "{}",
        outcome.stdout()
    );
}

#[test]
fn flags_that_change_no_run_are_rejected() {
    let folder = Folder::colors();
    for (call, wanted) in [
        (
            "train --method sft --set lora.rank=3",
            "--set `lora.rank=3` is a setting of lora, but the method is sft",
        ),
        (
            "train --method sft --lora-rank 4",
            "--lora-rank is a setting of lora, but the method is sft",
        ),
        (
            "compare --methods sft,linear --peft-rank 4",
            "--peft-rank is a setting of peft, but the method is sft, linear",
        ),
        (
            "train --method linear --targets all",
            "--targets chooses layers for adapters",
        ),
        (
            "train --method sft --batch-norm freeze",
            "--batch-norm is about a frozen base",
        ),
    ] {
        let said = line(
            &folder.run(&format!("{call} --data data {SMALL} --out out")),
            2,
        );
        assert!(said.contains(wanted), "{said}");
        assert!(!folder.exists("out"));
    }
    let both = "compare --methods sft,lora --lora-rank 2 --set lora.dropout=0.1";
    folder
        .run(&format!("{both} --data data {SMALL} --out out"))
        .ok();
}

#[test]
fn a_run_that_was_stopped_says_so_wherever_it_is_used() {
    let folder = Folder::colors();
    let train = format!("train --method linear --data data {SMALL} --ui none --out run");
    folder.run(&train).ok();
    for command in [
        "evaluate --run run",
        "predict --run run data/test/red/000.png",
    ] {
        assert_eq!(folder.run(command).ok().stderr(), "");
    }
    let path = folder.path("run/report.json");
    let report = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        report.replace("\"stopped\": false", "\"stopped\": true"),
    )
    .unwrap();
    for command in [
        "evaluate --run run",
        "predict --run run data/test/red/000.png",
    ] {
        let said = folder.run(command).ok().stderr();
        assert!(
            said.starts_with("linear was stopped early, in epoch 1 of 1"),
            "{said}"
        );
    }
}

#[test]
fn chance_is_not_praised() {
    let folder = Folder::new();
    // The same picture in both classes.
    for part in ["train", "test"] {
        folder
            .class(&format!("data/{part}/a"), [90, 90, 90], 6)
            .class(&format!("data/{part}/b"), [90, 90, 90], 6);
    }
    let train = format!("train --method linear --data data {SMALL} --ui none --out run");
    let said = folder.run(&train).ok().stdout();
    assert!(
        said.contains("always answering the commonest class would reach 50.0 %"),
        "{said}"
    );
}
