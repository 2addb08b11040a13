//! The command with the flags of the recipe.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::path::Path;

use finetune::model::WeightsFile;
use util::{Folder, line, names};

const TRAIN: &str = "train --data data --image-size 16 --epochs 4 --batch-size 4 --ui none";

#[test]
fn the_test_images_do_not_influence_training() {
    // The same training images and other test images give the same weights and epochs to the bit.
    let folder = Folder::colors();
    std::fs::create_dir(folder.path("other")).unwrap();
    copy(&folder.path("data/train"), &folder.path("other/train"));
    folder
        .class("other/test/red", [10, 10, 240], 3)
        .class("other/test/green", [240, 10, 240], 5);
    let flags = "--method sft --valid-fraction 0.25 --patience 2 --lr auto --ema 0.9";
    folder.run(&format!("{TRAIN} {flags} --out a")).ok();
    let there = TRAIN.replace("--data data", "--data other");
    folder.run(&format!("{there} {flags} --out b")).ok();
    let (a, b) = (folder.json("a/report.json"), folder.json("b/report.json"));
    assert_ne!(a["runs"][0]["confusion"], b["runs"][0]["confusion"]);
    assert_eq!(a["runs"][0]["settings"], b["runs"][0]["settings"]);
    assert_eq!(a["runs"][0]["range_test"], b["runs"][0]["range_test"]);
    for (a, b) in a["runs"][0]["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .zip(b["runs"][0]["epochs"].as_array().unwrap())
    {
        for key in [
            "train_loss",
            "valid_loss",
            "valid_accuracy",
            "learning_rate",
        ] {
            assert_eq!(a[key], b[key]);
        }
    }
    let weights = |out: &str| {
        std::fs::read(folder.path(out).join("finetuned_model_sft.safetensors")).unwrap()
    };
    assert_eq!(weights("a"), weights("b"));

    // The report shows the learning rate that was found, and a picture of the range test.
    let settings = &a["runs"][0]["settings"];
    assert!(
        settings["learning rate"]
            .as_str()
            .unwrap()
            .ends_with("(found)")
    );
    assert!(folder.exists("a/learning_rate_sft_seed0.svg"));
    let page = std::fs::read_to_string(folder.path("a/report.html")).unwrap();
    assert!(page.contains("Learning rate range test"));
}

#[test]
fn a_head_with_a_hidden_layer_is_a_sequence_in_files_and_is_read_again() {
    let folder = Folder::colors();
    for method in ["sft", "lora"] {
        let train = format!("{TRAIN} --method {method} --head-hidden 12 --lr 0.01 --out {method}");
        folder.run(&train).ok();
        let report = folder.json(&format!("{method}/report.json"));
        let evaluated = folder
            .run(&format!("evaluate --run {method} --json"))
            .ok()
            .json();
        assert_eq!(evaluated[0]["accuracy"], report["runs"][0]["accuracy"]);
        let merged = folder.path(&format!("{method}.safetensors"));
        folder
            .run(&format!("merge --run {method} --out {method}.safetensors"))
            .ok();
        let file = WeightsFile::open(&merged).unwrap();
        let shapes = file.shapes();
        assert_eq!(shapes["linear.0.weight"], [12, 64]);
        assert_eq!(shapes["linear.2.weight"], [2, 12]);
        assert_eq!(shapes["linear.2.bias"], [2]);
        let understood = file.understand().unwrap();
        assert_eq!((understood.classes, understood.left_out), (Some(2), 0));
        // A new run starts from it, and makes a head of its own.
        folder
            .run(&format!(
                "{TRAIN} --method linear --weights {method}.safetensors --out from-{method}"
            ))
            .ok();
    }
    // The adapter is larger by the hidden layer: 64 · 12 + 12 and 12 · 2 + 2 instead of 64 · 2 + 2.
    folder
        .run(&format!("{TRAIN} --method lora --out plain"))
        .ok();
    let trainable = |out: &str| {
        let report = folder.json(&format!("{out}/report.json"));
        report["runs"][0]["trainable_parameters"].as_u64().unwrap()
    };
    assert_eq!(trainable("lora") - trainable("plain"), 12 * 67 + 2 - 130);
    let refused = folder.run(&format!("{TRAIN} --method knn --head-hidden 12 --out o"));
    let line = line(&refused, 2);
    assert!(line.contains("--head-hidden is 12, but knn"), "{line}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn selecting_an_epoch_needs_validation_images() {
    let folder = Folder::colors();
    for flag in ["--patience 2", "--keep best"] {
        let refused = folder.run(&format!("{TRAIN} {flag} --out o"));
        let line = line(&refused, 2);
        assert!(line.contains("--valid-fraction 0.2"), "{line}");
        assert!(!folder.exists("o"));
    }
}

#[test]
fn wrong_values_are_errors_of_one_line_with_exit_code_2() {
    let folder = Folder::colors();
    for (flag, said) in [
        ("--accumulate 0", "at least 1"),
        ("--warmup 1.5", "at least 0 and below 1"),
        ("--head-lr-ratio -1", "above 0"),
        ("--layer-decay 2", "above 0 and at most 1"),
        ("--clip-norm -1", "above 0"),
        ("--ema 1", "above 0 and below 1"),
        ("--patience 0", "at least 1"),
        ("--unfreeze-epochs 4", "below the number of epochs"),
        ("--weight-decay -1", "at least 0"),
        ("--lr 0", "above 0"),
        ("--head-hidden 0", "from 1 to 65536"),
    ] {
        let (name, value) = flag.split_once(' ').unwrap();
        let refused = folder.run(&format!("{TRAIN} {name}={value} --out o"));
        let line = line(&refused, 2);
        assert!(line.contains(said), "{flag}: {line}");
        assert!(!folder.exists("o"), "{flag}");
    }
    let refused = folder.run(&format!("{TRAIN} --lr fast"));
    assert_eq!(refused.code(), 2);
    let text = refused.stderr();
    assert!(text.contains("write a number, or `auto`"), "{text}");
}

#[test]
fn the_error_of_a_diverged_run_says_what_to_try_and_where_the_last_weights_are() {
    let folder = Folder::colors();
    let broken = folder.run(&format!(
        "{TRAIN} --method linear --optimizer sgd --schedule constant --lr 1e37 \
         --checkpoint-seconds 0 --out o"
    ));
    let line = line(&broken, 1);
    assert!(line.contains("the loss became"), "{line}");
    assert!(line.contains("try a smaller learning rate"), "{line}");
    let left = names(&folder.path("o"));
    let kept = left
        .iter()
        .any(|name| name == "checkpoint_linear.safetensors");
    assert_eq!(
        line.contains("checkpoint_linear.safetensors"),
        kept,
        "{line}"
    );
    assert!(
        !left.iter().any(|name| name.starts_with("adapter")),
        "{left:?}"
    );
}

#[test]
fn the_last_checkpoints_and_the_best_one_are_retained() {
    let folder = Folder::colors();
    let five = TRAIN.replace("--epochs 4", "--epochs 5");
    folder
        .run(&format!(
            "{five} --method lora --valid-fraction 0.25 --keep-checkpoints 2 --out o"
        ))
        .ok();
    let kept: Vec<usize> = names(&folder.path("o"))
        .iter()
        .filter_map(|name| {
            let epoch = name.strip_prefix("checkpoint_lora_epoch")?;
            epoch.strip_suffix(".safetensors")?.parse().ok()
        })
        .collect();
    let report = folder.json("o/report.json");
    let epochs = report["runs"][0]["epochs"].as_array().unwrap();
    let mut best = 0;
    for (index, epoch) in epochs.iter().enumerate().take(4) {
        let key = |epoch: &serde_json::Value| {
            let number = |name: &str| epoch[name].as_f64().unwrap();
            (number("valid_accuracy"), -number("valid_loss"))
        };
        if key(epoch) > key(&epochs[best]) {
            best = index;
        }
    }
    let mut wanted = vec![3, 4];
    if best < 2 {
        wanted.insert(0, best + 1);
    }
    assert_eq!(kept, wanted);
    // The checkpoints contain the tensors that the method trains, but not the base weights.
    let size = std::fs::metadata(folder.path("o/checkpoint_lora_epoch4.safetensors"));
    let model = std::fs::metadata(folder.path("o/finetuned_model_lora.safetensors"));
    assert!(size.unwrap().len() < 3 * model.unwrap().len());
    assert!(!folder.exists("o/checkpoint_lora.safetensors"));
}

#[test]
fn a_run_shows_its_epochs_as_lines_table_and_events() {
    let folder = Folder::colors();
    let train = TRAIN.replace("--ui none", "--ui plain");
    let run = folder.run(&format!(
        "{train} --method linear --valid-fraction 0.25 --out o"
    ));
    let text = run.ok().stderr();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("epoch "))
        .collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines.iter().all(|line| line.contains("images/s")), "{text}");
    assert!(lines[0].ends_with(" left"), "{text}");
    let table = std::fs::read_to_string(folder.path("o/metrics.csv")).unwrap();
    let mut rows = table.lines();
    let titles = rows.next().unwrap();
    assert!(
        titles.ends_with("images_per_second,peak_memory_bytes"),
        "{titles}"
    );
    assert_eq!(rows.count(), 4);

    let report = folder.json("o/report.json");
    let run = &report["runs"][0];
    let folder = folder.path("o/events/linear");
    let files = names(&folder);
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].starts_with("events.out.tfevents."));
    let records = util::records(&std::fs::read(folder.join(&files[0])).unwrap());
    // One record for the version, one per step and two per epoch.
    let steps = usize::try_from(run["steps"].as_u64().unwrap()).unwrap();
    assert_eq!(records.len(), 1 + steps + 2 * 4);
    assert!(records[0].ends_with(b"brain.Event:2"));
}

#[test]
fn products_are_in_bf16_only_if_the_processor_has_instructions_for_it() {
    let folder = Folder::new();
    let train = "train --method sft --train-per-class 25 --epochs 2 --seed 3 --ui none --json";
    let halved = |out: &str| format!("{train} --precision bf16 --out {out}");
    let capped = folder.run_in(&halved("capped"), &[("FINETUNE_SIMD", "portable")]);
    assert!(!folder.exists("capped"));
    if finetune::machine::bf16_unit().is_none() {
        assert!(line(&folder.run(&halved("b")), 2).contains("no instructions for bf16"));
        return;
    }
    let refused = line(&capped, 2);
    assert!(
        refused.contains("as limited by FINETUNE_SIMD has no instructions for bf16"),
        "{refused}"
    );

    folder.run(&halved("b")).ok();
    folder.run(&format!("{train} --out a")).ok();
    let (a, b) = (folder.json("a/report.json"), folder.json("b/report.json"));
    assert!(a["precision"].is_null());
    let described = b["precision"].as_str().unwrap();
    assert!(described.starts_with("products in bf16 ("), "{described}");
    assert_eq!(b["understood"]["precision"], described);
    // The small network's gradients are clipped unless that is turned off.
    assert_eq!(a["runs"][0]["settings"]["gradient norm"], "1");
    let free = folder
        .run(&format!("{train} --clip-norm 0 --out free"))
        .ok();
    assert!(free.json()["runs"][0]["settings"]["gradient norm"].is_null());
    // Rounded products change the losses, but little.
    let loss = |report: &serde_json::Value| report["runs"][0]["epochs"][0]["train_loss"].as_f64();
    let (a, b) = (loss(&a).unwrap(), loss(&b).unwrap());
    let apart = (a - b).abs();
    assert!(apart > 0.0 && apart < 0.05 * a, "{a} and {b}");
}
