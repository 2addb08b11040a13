//! `compare` on fewer images beside all of them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::process::Stdio;
use std::time::{Duration, Instant};

use finetune::evaluation::{Report, Run};
use util::{Folder, line, names, send};

const COMPARE: &str =
    "compare --data data --methods sft,scratch --image-size 32 --batch-size 4 --ui none";

fn report(folder: &Folder, out: &str) -> Report {
    let report = Report::read(&folder.path(out).join("report.json")).unwrap();
    report.without_times()
}

/// Runs without their pictures and files.
fn numbers(runs: Vec<Run>) -> Vec<Run> {
    let without = |run: Run| Run {
        mistakes: Vec::new(),
        augmented: Vec::new(),
        artifacts: Vec::new(),
        artifact_sha256: std::collections::BTreeMap::new(),
        ..run
    };
    runs.into_iter().map(without).collect()
}

#[test]
fn both_ends_are_in_one_report_and_the_small_one_is_a_comparison_of_its_own() {
    let folder = Folder::colors();
    let call = format!("{COMPARE} --epochs 2 --few 3");
    let outcome = folder.run(&format!("{call} --out out")).ok();
    let said = outcome.stderr();
    let block = said
        .find("few      afterwards the same with 3 images per class")
        .unwrap();
    assert!(block < said.find("output   out").unwrap(), "{said}");
    assert!(
        said.contains("few      now the same with fewer images · train 6, 3 of each class"),
        "{said}"
    );
    assert!(!folder.exists("out/plan.json") && !folder.exists("out/few-3/plan.json"));

    let both = report(&folder, "out");
    let few = both.few.clone().unwrap();
    assert_eq!((few.per_class, few.folder.as_str()), (3, "few-3"));
    let found = few.runs.iter().map(|run| run.train_per_class_found);
    assert_eq!(found.collect::<Vec<_>>(), [Some(3); 2]);
    assert_eq!(
        both.runs
            .iter()
            .filter(|run| run.train_per_class_found == Some(8))
            .count(),
        2
    );
    // The runs are those of two comparisons, one after the other.
    folder.run(&format!("{COMPARE} --epochs 2 --out all")).ok();
    folder
        .run(&format!(
            "{COMPARE} --epochs 2 --train-per-class 3 --out small"
        ))
        .ok();
    assert_eq!(both.runs, report(&folder, "all").runs);
    assert_eq!(report(&folder, "all").few, None);
    let small = report(&folder, "small").runs;
    assert_eq!(report(&folder, "out/few-3").runs, small);
    assert_eq!(few.runs, numbers(small));
    folder.run("evaluate --run out/few-3").ok();

    let read = |file: &str| std::fs::read_to_string(folder.path("out").join(file)).unwrap();
    let sentence = "With 3 images per class, ";
    assert!(read("report.html").contains("<h2>With fewer images</h2>"));
    assert!(read("report.html").contains(sentence) && read("report.md").contains(sentence));
    let shown = outcome.stdout();
    assert!(
        shown.contains("3 images per class") && shown.contains(sentence),
        "{shown}"
    );
    assert_eq!(folder.run("report out").ok().stdout(), shown);
    let listed = folder.run("runs .").ok().stdout();
    assert!(
        listed.contains("    with 3 images per class: sft "),
        "{listed}"
    );

    // The same comparison gives the same report, typed again or from its configuration.
    let again = folder
        .run(&format!("{call} --json --out again"))
        .ok()
        .json();
    assert_eq!(again["few"]["runs"][1]["method"], "scratch");
    folder
        .run("compare --config out/config.json --ui none --out repeated")
        .ok();
    for other in ["again", "repeated"] {
        let other = report(&folder, other);
        assert_eq!(
            (other.runs, other.few),
            (both.runs.clone(), both.few.clone())
        );
    }
    folder
        .run("compare --config out/config.json --few off --ui none --out off")
        .ok();
    assert_eq!(report(&folder, "off").few, None);
    // A comparison that replaces another one leaves nothing of it.
    folder
        .run(&format!("{COMPARE} --epochs 1 --force --out out"))
        .ok();
    assert!(!folder.exists("out/few-3"));
}

#[test]
fn the_default_comparison_shows_both_ends() {
    let folder = Folder::new();
    let call = "compare --methods linear --image-size 16 --epochs 1 --ui none";
    let shown = folder
        .run(&format!("{call} --json --out default"))
        .ok()
        .json();
    assert_eq!(shown["few"]["per_class"], 25);
    assert_eq!(shown["few"]["runs"][0]["train_per_class_found"], 25);
    assert!(shown["runs"][0]["train_per_class"].is_null());
    let predicted = folder.run(&format!("{call} --dry-run --json")).ok().json();
    let sizes = predicted.as_array().unwrap().iter();
    let sizes: Vec<_> = sizes.map(|one| one["train_per_class"].as_u64()).collect();
    assert_eq!(sizes, [None, Some(25)]);
    let predicted = folder.run(&format!("{call} --dry-run")).ok().stdout();
    let lines: Vec<&str> = predicted.lines().map(str::trim).collect();
    assert_eq!(
        (lines.len(), lines[1]),
        (4, "with 25 images per class:"),
        "{predicted}"
    );
    for (index, without) in ["--few off", "--train-per-class 30"].iter().enumerate() {
        let out = format!("out{index}");
        folder.run(&format!("{call} {without} --out {out}")).ok();
        assert_eq!(report(&folder, &out).few, None);
        assert!(
            !names(&folder.path(&out))
                .iter()
                .any(|name| name.starts_with("few"))
        );
    }
    std::fs::write(folder.path("mine.toml"), "few = 5\ntrain_per_class = 10\n").unwrap();
    folder
        .run(&format!("{call} --config mine.toml --out mine"))
        .ok();
    assert_eq!(report(&folder, "mine").few.unwrap().per_class, 5);
}

/// Starts the command and sends it a signal as soon as this file exists. Returns its exit code, if it has
/// one, and what it said.
fn ended_at(folder: &Folder, arguments: &str, file: &str, signal: &str) -> (Option<i32>, String) {
    let process = folder.start(arguments, Stdio::piped());
    let begun = Instant::now();
    while !folder.exists(file) {
        assert!(begun.elapsed() < Duration::from_mins(2));
        std::thread::sleep(Duration::from_millis(5));
    }
    send(signal, &process);
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn a_comparison_that_is_ended_in_either_part_goes_on_there_with_the_same_results() {
    let folder = Folder::colors();
    let call = format!("{COMPARE} --epochs 40 --few 3 --checkpoint-seconds 0");
    folder.run(&format!("{call} --out whole")).ok();
    let whole = report(&folder, "whole");
    for (signal, part) in [("INT", ""), ("INT", "few-3/"), ("KILL", "few-3/")] {
        let out = format!("{signal}{}", part.len());
        let file = format!("{out}/{part}plan.json");
        let (code, said) = ended_at(&folder, &format!("{call} --out {out}"), &file, signal);
        assert!(folder.exists(&format!("{out}/plan.json")));
        if signal == "INT" {
            assert_eq!(code, Some(130), "{said}");
            assert!(
                said.ends_with(&format!("`--resume {out}` continues\n")),
                "{said}"
            );
            let listed = folder.run(&format!("runs {out} --json")).ok().json();
            let state = listed.get(0).map(|one| one["state"].clone());
            // Of a comparison that was stopped at once there is nothing to list.
            assert!(state.is_none_or(|state| state == "stopped"));
        }
        if !part.is_empty() {
            // The report of all images is complete already.
            let stopped = report(&folder, &out);
            assert_eq!((&stopped.runs, stopped.interrupted), (&whole.runs, false));
            assert!(stopped.few.is_none_or(|few| few.interrupted));
            let left = folder.run(&format!("compare --resume {out} --dry-run --json"));
            let left = left.ok().json();
            for forecast in left.as_array().unwrap() {
                assert_eq!(forecast["train_per_class"], 3);
            }
        }
        let rejected = folder.run(&format!("compare --resume {out} --few 3"));
        assert_eq!(rejected.code(), 2, "{}", rejected.stderr());
        folder
            .run(&format!("compare --resume {out} --ui none"))
            .ok();
        let resumed = report(&folder, &out);
        assert_eq!(resumed.runs, whole.runs);
        assert_eq!(resumed.few, whole.few);
        assert!(!folder.exists(&format!("{out}/plan.json")));
    }
}

#[test]
fn the_small_part_goes_on_from_weights_that_were_moved() {
    let folder = Folder::colors();
    folder
        .run("pretrain --data data --epochs 1 --out mine.safetensors --ui none")
        .ok();
    let call = "compare --data data --methods sft,lora --weights mine.safetensors --batch-size 4 --epochs 20 \
                --few 3 --ui none --out out";
    let (code, said) = ended_at(&folder, call, "out/few-3/plan.json", "INT");
    assert_eq!(code, Some(130), "{said}");
    std::fs::rename(
        folder.path("mine.safetensors"),
        folder.path("moved.safetensors"),
    )
    .unwrap();
    let missing = line(&folder.run("compare --resume out --ui none"), 1);
    assert!(missing.contains("mine.safetensors"), "{missing}");
    folder
        .run("compare --resume out --weights moved.safetensors --ui none")
        .ok();
    assert_eq!(report(&folder, "out").few.unwrap().runs.len(), 2);
    folder.run("evaluate --run out/few-3").ok();
}

#[test]
fn what_goes_wrong_in_the_small_part_does_not_lose_the_report() {
    let folder = Folder::colors();
    std::fs::create_dir(folder.path("out")).unwrap();
    std::fs::write(folder.path("out/few-3"), "mine").unwrap();
    let call = format!("{COMPARE} --epochs 1 --few 3");
    let outcome = folder.run(&format!("{call} --force --out out"));
    let said = line(&outcome, 1);
    assert!(
        said.contains("with 3 images per class, sft, scratch failed: ")
            && said.contains("is a file"),
        "{said}"
    );
    assert!(outcome.stdout().contains("sft"), "{}", outcome.stdout());
    let failed = report(&folder, "out");
    assert_eq!((failed.runs.len(), failed.failed.len()), (2, 0));
    assert_eq!(failed.failures().count(), 2);
    std::fs::remove_file(folder.path("out/few-3")).unwrap();
    folder.run("compare --resume out --ui none").ok();
    let done = report(&folder, "out");
    assert_eq!((done.few.unwrap().runs.len(), done.runs), (2, failed.runs));
}

#[test]
fn a_number_of_images_that_makes_no_sense_is_one_clear_line() {
    let folder = Folder::colors();
    // There are eight of each class.
    let outcome = folder
        .run(&format!("{COMPARE} --epochs 1 --few 8 --out out"))
        .ok();
    let said = outcome.stderr();
    assert!(
        said.contains(
            "no comparison with fewer images: 8 per class are no fewer than there are, at most 8"
        ),
        "{said}"
    );
    assert_eq!(report(&folder, "out").few, None);
    for (call, wanted) in [
        (format!("{COMPARE} --few 0"), "1 or more, or off"),
        (format!("{COMPARE} --few some"), "1 or more, or off"),
        (format!("{COMPARE} --few 3 --tune 4"), "--tune is for one"),
        (
            format!("{COMPARE} --few 3 --budget 3s"),
            "--budget is for one",
        ),
        (format!("{COMPARE} --few 3 --claims"), "--few"),
        ("train --few 3".to_owned(), "--few"),
    ] {
        let outcome = folder.run(&format!("{call} --out none"));
        line(&outcome, 2);
        assert!(
            outcome.stderr().contains(wanted),
            "{call}: {}",
            outcome.stderr()
        );
        assert!(!folder.exists("none"));
    }
}
