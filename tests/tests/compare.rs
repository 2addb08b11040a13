//! End-to-end tests of `compare` and of the commands that read its folder.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use finetune::evaluation::Report;
use util::{Folder, names};

/// Compares the five methods on a few real photographs.
const COMPARE: &str = "compare --train-per-class 6 --epochs 2 --threads 2 --ui none --out";

#[test]
fn all_methods_run_and_reload_exactly() {
    let folder = Folder::new();
    let shown = folder.run(&format!("{COMPARE} out")).ok().stdout();
    for method in ["sft", "peft", "lora", "linear", "scratch"] {
        assert!(shown.contains(method), "{shown}");
    }
    let mut wanted: Vec<String> = ["sft", "peft", "lora", "linear", "scratch"]
        .map(|method| format!("finetuned_model_{method}.safetensors"))
        .to_vec();
    wanted.extend(
        ["sft", "peft", "lora", "linear", "scratch"]
            .map(|method| format!("MODEL_CARD_{method}.md")),
    );
    wanted.extend(
        [
            "adapter_linear.safetensors",
            "adapter_lora.safetensors",
            "adapter_peft.safetensors",
            "config.json",
            "events",
            "log.txt",
            "metrics.csv",
            "pictures",
            "report.html",
            "report.json",
            "report.md",
        ]
        .map(str::to_owned),
    );
    wanted.sort();
    assert_eq!(names(&folder.path("out")), wanted);

    let charts = [
        "accuracy-and-costs",
        "confusion-linear",
        "confusion-lora",
        "confusion-peft",
        "confusion-scratch",
        "confusion-sft",
        "differences",
        "file-size",
        "peak-memory",
        "test-accuracy",
        "time-per-step",
        "training-accuracy",
        "training-loss",
        "validation-accuracy",
    ];
    let charts = charts.map(|chart| format!("{chart}.svg"));
    assert_eq!(names(&folder.path("out/pictures")), charts);

    let report = Report::read(&folder.path("out/report.json")).unwrap();
    assert_eq!(report.dataset.classes, ["0", "1", "2", "3", "4"]);
    assert_eq!((report.dataset.train, report.dataset.test), (30, 250));
    let trained: Vec<u64> = report
        .runs
        .iter()
        .map(|run| run.trainable_parameters)
        .collect();
    let [sft, peft, lora, linear, scratch] = trained[..] else {
        panic!("{trained:?}")
    };
    assert!(
        sft == scratch && sft > lora && lora > peft && peft > linear,
        "{trained:?}"
    );
    for run in &report.runs {
        assert_eq!(run.confusion.iter().flatten().sum::<u64>(), 250);
        assert_eq!(run.epochs.len(), 2);
        assert!(run.peak_memory_bytes.is_none_or(|bytes| bytes > 1 << 20));
    }

    // The base weights and the adapter, reloaded from disk, give exactly the reported counts. The
    // merged model gives the same.
    for merged in ["", " --merged"] {
        let again = folder
            .run(&format!("evaluate --run out --json{merged}"))
            .ok()
            .json();
        for (run, again) in report.runs.iter().zip(again.as_array().unwrap()) {
            assert_eq!(again["method"], run.method.as_str());
            assert_eq!(
                again["confusion"],
                serde_json::json!(run.confusion),
                "{} {merged}",
                run.method
            );
        }
    }

    // A second comparison gives the same report except for times.
    folder.run(&format!("{COMPARE} again")).ok();
    let again = Report::read(&folder.path("again/report.json")).unwrap();
    assert_eq!(report.without_times().runs, again.without_times().runs);
    for method in ["sft", "lora", "peft"] {
        let file = format!("finetuned_model_{method}.safetensors");
        let read = |out: &str| std::fs::read(folder.path(out).join(&file)).unwrap();
        assert!(read("out") == read("again"), "{file} differs");
    }
}

#[test]
fn every_other_method_runs_and_reloads() {
    let folder = Folder::colors();
    let methods = "bitfit,norm,vera,adalora,shira,gps,ia3,ssf,loha,lokr,oft";
    folder
        .run(&format!(
            "compare --methods {methods} --data data --epochs 1 --image-size 32 --ui none --out out"
        ))
        .ok();
    let report = Report::read(&folder.path("out/report.json")).unwrap();
    assert_eq!(report.runs.len(), methods.split(',').count());
    for merged in ["", " --merged"] {
        let again = folder
            .run(&format!("evaluate --run out --json{merged}"))
            .ok()
            .json();
        for (run, again) in report.runs.iter().zip(again.as_array().unwrap()) {
            assert_eq!(again["method"], run.method.as_str());
            let found = serde_json::json!(run.confusion);
            assert_eq!(again["confusion"], found, "{} {merged}", run.method);
        }
    }
}

#[test]
fn adapted_statistics_are_reloaded_with_the_adapter() {
    let folder = Folder::colors();
    let train =
        "train --method lora --data data --epochs 3 --batch-size 4 --image-size 16 --ui none";
    let mut losses = Vec::new();
    for statistics in ["freeze", "adapt"] {
        let report = folder
            .run(&format!(
                "{train} --batch-norm {statistics} --json --out {statistics}"
            ))
            .ok()
            .json();
        losses.push(report["runs"][0]["epochs"][2]["train_loss"].clone());
        for merged in ["", " --merged"] {
            let again = folder
                .run(&format!("evaluate --run {statistics} --json{merged}"))
                .ok()
                .json();
            assert_eq!(again[0]["confusion"], report["runs"][0]["confusion"]);
        }
    }
    assert_ne!(losses[0], losses[1]);
}

#[test]
fn a_model_learns_a_folder_and_predicts_its_images() {
    let folder = Folder::colors();
    let train =
        "train --method sft --data data --epochs 8 --batch-size 4 --image-size 16 --ui none";
    let report = folder.run(&format!("{train} --json --out out")).ok().json();
    assert_eq!(report["version"], 1);
    assert_eq!(
        report["dataset"]["classes"],
        serde_json::json!(["green", "red"])
    );
    assert_eq!(report["runs"][0]["accuracy"], 1.0);
    assert_eq!(
        report["runs"][0]["confusion"],
        serde_json::json!([[4, 0], [0, 4]])
    );
    assert_eq!(report["runs"][0]["steps"], 32);

    let predicted = folder
        .run("predict --run out --json data/test/red/000.png data/test/green/001.png")
        .ok()
        .json();
    assert_eq!(predicted[0]["class"], "red");
    assert_eq!(predicted[1]["class"], "green");

    // A second run does not overwrite the first one.
    let refused = folder.run(&format!("{train} --out out"));
    assert_eq!(refused.code(), 2);
    assert!(
        refused.stderr().contains("`out` already holds a run"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn each_seed_has_its_own_files() {
    let folder = Folder::colors();
    folder
        .run("compare --methods linear,lora --seeds 2 --data data --epochs 1 --image-size 16 --ui none --out out")
        .ok();
    let report = Report::read(&folder.path("out/report.json")).unwrap();
    let runs: Vec<_> = report
        .runs
        .iter()
        .map(|run| (run.method.as_str(), run.seed))
        .collect();
    assert_eq!(
        runs,
        [("linear", 0), ("lora", 0), ("linear", 1), ("lora", 1)]
    );
    assert!(folder.exists("out/adapter_lora_seed1.safetensors"));
    folder
        .run("merge --run out --method lora_seed1 --out merged.safetensors")
        .ok();
    let read = |file: &str| std::fs::read(folder.path(file)).unwrap();
    assert_eq!(
        read("merged.safetensors"),
        read("out/finetuned_model_lora_seed1.safetensors")
    );
}

#[test]
fn weights_from_pretrain_can_be_fine_tuned() {
    let folder = Folder::colors();
    folder
        .run("pretrain --data data --epochs 1 --out mine.safetensors --ui none")
        .ok();
    folder
        .run("train --method lora --data data --weights mine.safetensors --epochs 1 --ui none --out out")
        .ok();
    // The error for another architecture names the first tensors that differ.
    let other = folder.run(
        "train --method lora --data data --model resnet14-64 --weights mine.safetensors --out other",
    );
    assert_eq!(other.code(), 1);
    assert!(
        other.stderr().contains("does not fit `resnet14-64`"),
        "{}",
        other.stderr()
    );
    assert!(
        other.stderr().contains("missing: layer1.1.conv1.weight"),
        "{}",
        other.stderr()
    );
    assert!(!folder.exists("other"));
}
