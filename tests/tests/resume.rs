//! A killed run can be resumed and then gives the same result to the bit.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use finetune::methods::state::from_safetensors;
use util::{Folder, names};

const TRAIN: &str = "--train-per-class 12 --image-size 32 --epochs 8 --batch-size 16 --threads 2 --ui none --checkpoint-seconds 0";

/// A recipe with everything that carries state from one epoch to the next.
const RECIPE: &str = "gps --optimizer adam-w --weight-decay 0.05 --schedule cosine --ema 0.9 \
                      --valid-fraction 0.25 --keep best --clip-norm 1 --accumulate 2 \
                      --label-smoothing 0.1 --class-weights balanced --layer-decay 0.8 \
                      --head-lr-ratio 2 --unfreeze-epochs 2 --lr auto";

/// A learning rate at which the validation accuracy soon stops improving.
const PATIENCE: &str = "bitfit --patience 2 --valid-fraction 0.25 --lr 30 --schedule constant \
                        --drop-last off --clip-norm 0";

/// Returns the weights files of a run, by name.
fn weights(folder: &Folder, out: &str) -> BTreeMap<String, Vec<u8>> {
    let files = names(&folder.path(out)).into_iter();
    files
        .filter(|name| name.ends_with(".safetensors"))
        .map(|name| {
            let bytes = std::fs::read(folder.path(out).join(&name)).unwrap();
            (name, bytes)
        })
        .collect()
}

/// Starts the command in its own process group and kills the group after the time `wait`. Returns
/// whether it was still running.
fn kill_after(folder: &Folder, arguments: &str, wait: Duration) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"))
        .args(arguments.split_whitespace())
        .current_dir(folder.path(""))
        .env("FINETUNE_CACHE", folder.path("cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    std::thread::sleep(wait);
    let running = child.try_wait().unwrap().is_none();
    let group = format!("-{}", child.id());
    Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    child.wait().unwrap();
    running
}

/// Reads every file of a run's folder, except temporary files, which a resumed run removes.
fn open_every_file(folder: &Path) {
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            open_every_file(&path);
            continue;
        }
        // The lock of a process that was killed stays, and does not count.
        if name.starts_with(".tmp") || name == ".lock" {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let text = || String::from_utf8(bytes.clone()).unwrap();
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending {
            _ if name.starts_with("events.out.tfevents.") => {
                assert!(!util::records(&bytes).is_empty(), "{name}");
            }
            Some("safetensors") => {
                assert!(!from_safetensors(&bytes).unwrap().is_empty(), "{name}");
            }
            Some("json") => {
                serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
            }
            Some("svg") => assert!(text().trim_end().ends_with("</svg>"), "{name}"),
            Some("html") => assert!(text().ends_with("</html>"), "{name}"),
            // A card has a head of YAML.
            Some("md") if name.starts_with("MODEL_CARD") => {
                assert!(
                    text().starts_with("---\n") && text().ends_with('\n'),
                    "{name}"
                );
            }
            Some("md") => assert!(text().starts_with("# ") && text().ends_with('\n'), "{name}"),
            Some("csv") => assert!(text().ends_with('\n'), "{name}"),
            Some("txt") => assert!(text().lines().all(|line| line.starts_with("20")), "{name}"),
            _ => panic!("{name}: a file of what kind?"),
        }
    }
}

/// Starts and kills a run at each of these fractions of its duration, until `wanted` of them were
/// still running at that moment, and resumes each. Returns how many were still running.
fn killed_at(
    folder: &Folder,
    arguments: &str,
    shares: impl Iterator<Item = f64>,
    wanted: usize,
    out: &str,
) -> usize {
    let start = Instant::now();
    folder.run(&format!("{arguments} --out whole-{out}")).ok();
    let length = start.elapsed();
    let mut hits = 0;
    for (index, share) in shares.enumerate() {
        if hits == wanted {
            break;
        }
        let own = format!("{out}-{index}");
        let hit = kill_after(
            folder,
            &format!("{arguments} --out {own}"),
            length.mul_f64(share),
        );
        hits += usize::from(hit);
        if folder.path(&own).exists() {
            open_every_file(&folder.path(&own));
        }
        if folder.exists(&format!("{own}/plan.json")) {
            folder.run(&format!("train --resume {own} --ui none")).ok();
        } else if !folder.exists(&format!("{own}/config.json")) {
            // The run was killed before it wrote anything.
            folder.run(&format!("{arguments} --out {own}")).ok();
        }
        assert_eq!(
            weights(folder, &own),
            weights(folder, &format!("whole-{out}")),
            "{arguments} killed at {share}"
        );
        let left = names(&folder.path(&own));
        assert!(
            !left.iter().any(|name| name.starts_with("checkpoint")),
            "{left:?}"
        );
        assert!(!left.contains(&"plan.json".to_owned()), "{left:?}");
        assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
        open_every_file(&folder.path(&own));
        folder.run(&format!("evaluate --run {own} --json")).ok();
    }
    hits
}

#[test]
fn a_killed_run_resumes_to_the_same_weights() {
    let folder = Folder::new();
    for method in [
        "sft",
        "lora --set lora.dropout=0.3 --set lora.b_lr_ratio=4",
        "peft --peft-interval 3",
        "adalora --set adalora.interval=2",
        RECIPE,
    ] {
        let arguments = format!("train --method {method} {TRAIN}");
        let name = method.split(' ').next().unwrap();
        killed_at(&folder, &arguments, [0.75].into_iter(), 1, name);
    }
}

#[test]
fn early_stopping_ends_a_killed_run_at_the_same_epoch() {
    let folder = Folder::new();
    let arguments = format!("train --method {PATIENCE} {TRAIN}");
    let shares = [0.5, 0.6, 0.7, 0.8, 0.9];
    killed_at(&folder, &arguments, shares.into_iter(), 5, "bitfit");
    let epochs = |out: &str| {
        let report = folder.json(&format!("{out}/report.json"));
        report["runs"][0]["epochs"].as_array().unwrap().len()
    };
    let whole = epochs("whole-bitfit");
    assert!((3..8).contains(&whole), "{whole}");
    for index in 0..shares.len() {
        assert_eq!(epochs(&format!("bitfit-{index}")), whole);
    }
}

/// Kills runs at twenty random moments of their duration; with `--nocapture` it prints how many of
/// them were still running.
#[test]
#[ignore = "takes minutes"]
fn twenty_killed_runs_resume_to_the_same_weights() {
    let folder = Folder::new();
    let seed = std::process::id();
    println!("seed {seed}");
    let mut state = u64::from(seed);
    let mut random = || {
        // Knuth's linear congruential generator; only its upper bits are random enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    };
    // Some of the moments come after a run has ended.
    let shares = (0..100).map(|_| random());
    let train = TRAIN.replace("--train-per-class 12", "--train-per-class 40");
    let arguments = format!(
        "train --method peft --peft-interval 3 --augment light --ema 0.9 --valid-fraction 0.2 \
         --keep best {train}"
    );
    let hits = killed_at(&folder, &arguments, shares, 20, "peft");
    println!("{hits} killed, all of them went on to the same weights");
    assert_eq!(hits, 20);
}

#[test]
fn a_comparison_resumes_with_the_remaining_runs() {
    let folder = Folder::new();
    let arguments = format!("compare --methods linear,lora,sft {TRAIN}");
    let start = Instant::now();
    folder.run(&format!("{arguments} --out whole")).ok();
    let length = start.elapsed();
    kill_after(
        &folder,
        &format!("{arguments} --out again"),
        length.mul_f64(0.6),
    );
    let refused = folder.run(&format!("{arguments} --out again"));
    assert_eq!(refused.code(), 2);
    assert!(
        refused.stderr().contains("resume it with --resume again"),
        "{}",
        refused.stderr()
    );
    folder.run("compare --resume again --ui none").ok();
    assert_eq!(weights(&folder, "again"), weights(&folder, "whole"));
    let report = |out: &str| {
        finetune::evaluation::Report::read(&folder.path(out).join("report.json"))
            .unwrap()
            .without_times()
            .runs
    };
    assert_eq!(report("again"), report("whole"));

    let done = folder.run("compare --resume again --ui none");
    assert_eq!(done.code(), 2);
    assert!(
        done.stderr().contains("the run in again is finished"),
        "{}",
        done.stderr()
    );
    let none = folder.run("train --resume nowhere --ui none");
    assert_eq!(none.code(), 2);
    assert!(none.stderr().contains("nowhere holds no unfinished run"));
}
