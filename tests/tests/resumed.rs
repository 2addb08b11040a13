//! Flags that may be combined with `--resume`.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::{Folder, Outcome};

const LORA: &str = "--method lora --data data --epochs 2 --batch-size 4 --lora-rank 2 \
                    --set lora.dropout=0.1 --augment light --mixup 0.2 --valid-fraction 0.25 \
                    --patience 2 --keep last --modules-to-save conv1,bn1 --sampling balanced";

/// Makes a run and replaces its configuration and report by a plan, as if it had been killed before
/// its first epoch.
fn unfinished(folder: &Folder, arguments: &str, out: &str) {
    folder.run(&format!("{arguments} --out {out}")).ok();
    let path = |name: &str| folder.path(&format!("{out}/{name}"));
    std::fs::rename(path("config.json"), path("plan.json")).unwrap();
    std::fs::remove_file(path("report.json")).unwrap();
}

fn rejected(outcome: &Outcome, flags: &str) {
    let said = outcome.stderr();
    assert_eq!(outcome.code(), 2, "{said}");
    assert!(said.starts_with(&format!("error: {flags}")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn flags_that_contradict_a_run_are_rejected_and_named() {
    let folder = Folder::colors();
    unfinished(&folder, &format!("train {LORA} --ui none"), "run");
    std::fs::write(folder.path("other.safetensors"), "").unwrap();
    for (typed, flags) in [
        // A flag's default value contradicts a run with another value.
        ("--epochs 12", "--epochs contradicts"),
        ("--lr 0.5", "--lr contradicts"),
        ("--lr auto", "--lr contradicts"),
        ("--method sft", "--method contradicts"),
        ("--seed 1", "--seed contradicts"),
        ("--data elsewhere", "--data contradicts"),
        ("--data=data/train", "--data contradicts"),
        ("--model resnet14-64", "--model contradicts"),
        ("--weights other.safetensors", "--weights contradicts"),
        ("--image-size 32", "--image-size contradicts"),
        ("--device ndarray", "--device contradicts"),
        ("--format pth", "--format contradicts"),
        ("--lora-rank 3", "--lora-rank contradicts"),
        ("--set lora.dropout=0.2", "--set contradicts"),
        ("--modules-to-save conv1", "--modules-to-save contradicts"),
        ("--sampling shuffled", "--sampling contradicts"),
        ("--on-bad-image skip", "--on-bad-image contradicts"),
        ("--batch-norm adapt", "--batch-norm contradicts"),
        ("--decay-all", "--decay-all contradicts"),
        ("--feature-dtype f16", "--feature-dtype contradicts"),
        ("--augment-views 3", "--augment-views contradicts"),
        ("--recipe plain", "--recipe contradicts"),
        ("--preset chapter", "--preset contradicts"),
        ("--folds 3 --fold 1", "--folds, --fold contradict"),
        (
            "--batch-size 8 --epochs 2 --ema 0.9",
            "--batch-size, --ema contradict",
        ),
    ] {
        rejected(
            &folder.run(&format!("train --resume run {typed}")),
            &format!(
                "{flags} the settings of the run in run; leave {} out to resume that run, or start \
                 another one without --resume",
                if flags.ends_with('s') { "it" } else { "them" }
            ),
        );
    }
    assert_eq!(folder.run("train --resume run --out other").code(), 2);
    // None of them changed anything.
    assert!(folder.exists("run/plan.json") && !folder.exists("run/report.json"));

    // Repeating the whole command is no contradiction, and flags that change no result are applied.
    let again = folder.run(&format!(
        "train {LORA} --recipe default --resume run --threads 1 --workers 1 --cache none \
         --cache-limit 0.5 \
         --feature-cache off --checkpoint-seconds 7 --keep-checkpoints 1 --json --ui plain"
    ));
    let again = again.ok();
    assert_eq!(again.json()["threads"], 1);
    assert_eq!(
        again.json()["runs"][0]["epochs"].as_array().unwrap().len(),
        2
    );
    assert!(again.stderr().contains(" epoch 2/2 "), "{}", again.stderr());
    let run = &folder.json("run/config.json")["runs"][0];
    assert_eq!(run["threads"], 1);
    assert_eq!(run["data"]["pipeline"]["workers"], 1);
    assert_eq!(run["data"]["pipeline"]["cache"], "none");
    assert_eq!(run["data"]["pipeline"]["limit"], 1 << 29);
    assert_eq!(run["recipe"]["feature_cache"], "off");
    assert_eq!(run["checkpoint_seconds"], 7);
    assert!(folder.exists("run/checkpoint_lora_epoch1.safetensors"));
    assert!(!folder.exists("run/plan.json"));
}

#[test]
fn methods_and_seeds_must_be_those_of_the_comparison() {
    let folder = Folder::colors();
    let compare = "compare --methods linear,lora --seeds 2 --seed 3 --data data --recipe plain \
                   --epochs 1 --lora-alpha 5";
    unfinished(&folder, &format!("{compare} --ui none"), "run");
    for (typed, flags) in [
        ("--methods linear", "--methods contradicts"),
        ("--methods linear,lora,sft", "--methods contradicts"),
        ("--seeds 3", "--seeds contradicts"),
        ("--seed 4", "--seed contradicts"),
        ("--lora-alpha 6", "--lora-alpha contradicts"),
        ("--recipe default", "--recipe contradicts"),
    ] {
        rejected(&folder.run(&format!("compare --resume run {typed}")), flags);
    }
    rejected(
        &folder.run("train --resume run --method lora"),
        "--method contradicts",
    );
    folder
        .run(&format!("{compare} --ui none --resume run"))
        .ok();
    let runs = folder.json("run/report.json")["runs"].clone();
    assert_eq!(runs.as_array().unwrap().len(), 4);
}

/// A process may be killed after it wrote the report and before it wrote the configuration.
#[test]
fn a_missing_configuration_is_written_again() {
    let folder = Folder::colors();
    folder
        .run("train --method linear --data data --epochs 1 --ui none --out run")
        .ok();
    let path = |name: &str| folder.path(&format!("run/{name}"));
    let config = folder.json("run/config.json");
    std::fs::rename(path("config.json"), path("plan.json")).unwrap();
    for file in ["report.html", "metrics.csv"] {
        std::fs::remove_file(path(file)).unwrap();
    }
    folder.run("train --resume run --ui none").ok();
    assert_eq!(folder.json("run/config.json"), config);
    assert!(folder.exists("run/report.html") && folder.exists("run/metrics.csv"));
    assert!(!folder.exists("run/plan.json"));
    folder.run("evaluate --run run").ok();
}
