//! Comparisons with several runs at the same time: the same results as with one after the other.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use finetune::evaluation::{Report, SideBySide};
use finetune::folder::{Lock, RunFolder};
#[cfg(unix)]
use util::send;
use util::{Folder, line, names};

const COMPARE: &str =
    "compare --data data --methods sft,linear,lora --image-size 32 --batch-size 4";

fn report(folder: &Folder, out: &str) -> Report {
    Report::read(&folder.path(out).join("report.json")).unwrap()
}

/// Method and seed of the runs of a report.
fn runs(report: &Report) -> Vec<(&str, u64)> {
    let runs = report.runs.iter();
    runs.map(|run| (run.method.as_str(), run.seed)).collect()
}

#[test]
fn the_number_of_runs_at_the_same_time_changes_times_only() {
    let folder = Folder::colors();
    let call = format!(
        "{COMPARE} --epochs 3 --seeds 2 --augment light --valid-fraction 0.25 --threads 2 --ui plain"
    );
    folder.run(&format!("{call} --out one")).ok();
    let outcome = folder.run(&format!("{call} --jobs 2 --out two")).ok();
    let (one, two) = (report(&folder, "one"), report(&folder, "two"));
    assert_eq!(one.without_times().runs, two.without_times().runs);
    let planned = [
        ("sft", 0),
        ("linear", 0),
        ("lora", 0),
        ("sft", 1),
        ("linear", 1),
        ("lora", 1),
    ];
    assert_eq!((runs(&one), runs(&two)), (planned.into(), planned.into()));
    let models = |out: &str| names(&folder.path(out));
    assert_eq!(models("one"), models("two"));
    for run in &two.runs {
        // The hashes are those of the other comparison's files, so its files must have them too.
        assert!(!run.artifact_sha256.is_empty(), "{}", run.method);
        let beside = SideBySide {
            runs: 2,
            threads: 1,
        };
        assert_eq!(run.side_by_side, Some(beside));
    }
    assert_eq!(one.runs[0].side_by_side, None);

    // Every line of a run is whole and begins with its title.
    let said = outcome.stderr();
    assert!(said.contains("2 runs at a time, 1 thread each\n"), "{said}");
    for (index, (method, _)) in planned.iter().enumerate() {
        let title = format!("[{}/6] {method} epoch ", index + 1);
        let epochs = said.lines().filter(|line| line.contains(&title));
        let whole = |line: &&str| {
            let line = line.trim_start();
            line.starts_with(&title) && line.matches('[').count() == 1 && line.contains(" images/s")
        };
        assert_eq!(epochs.filter(whole).count(), 3, "{title}: {said}");
    }
    let sentence = "measured with up to 2 runs at the same time, 1 thread each";
    assert!(outcome.stdout().contains(sentence), "{}", outcome.stdout());
    for (page, times) in [("report.md", 1), ("report.html", 3)] {
        let text = std::fs::read_to_string(folder.path("two").join(page)).unwrap();
        assert_eq!(text.matches(sentence).count(), times, "{page}");
        let text = std::fs::read_to_string(folder.path("one").join(page)).unwrap();
        assert!(!text.contains("at the same time"), "{page}");
    }
}

#[test]
fn a_run_that_fails_leaves_the_others_alone() {
    let folder = Folder::colors();
    let call =
        format!("{COMPARE} --epochs 2 --set lora.b_lr_ratio=1e38 --threads 2 --jobs 2 --ui none");
    let outcome = folder.run(&format!("{call} --out out"));
    let said = line(&outcome, 1);
    assert!(said.contains("lora failed: the loss became"), "{said}");
    let found = report(&folder, "out");
    assert_eq!(runs(&found), [("sft", 0), ("linear", 0)]);
    assert!(!found.interrupted && found.failed[0].method == "lora");
    // It alone is repeated.
    let again = folder.run("compare --resume out --jobs 2 --ui plain");
    let said = again.stderr();
    assert!(
        again.code() == 1 && said.contains("[3/3] lora") && !said.contains("[1/3]"),
        "{said}"
    );
    assert!(!said.contains("runs at a time"), "{said}");
}

#[test]
fn settings_are_chosen_from_the_same_scores() {
    let folder = Folder::colors();
    let call = "compare --data data --methods linear,lora --tune 4 --image-size 32 --batch-size 4 \
                --epochs 3 --valid-fraction 0.25 --threads 2 --ui none";
    folder.run(&format!("{call} --out one")).ok();
    folder.run(&format!("{call} --jobs 3 --out three")).ok();
    let (one, three) = (report(&folder, "one"), report(&folder, "three"));
    assert_eq!(one.tried, three.tried);
    assert_eq!(one.without_times().runs, three.without_times().runs);
    // Three were asked for, but there are two runs.
    let threads = three.runs[0].side_by_side.unwrap();
    assert_eq!((threads.runs, threads.threads), (2, 1));
}

#[test]
fn a_dry_run_adds_up_what_is_done_at_the_same_time() {
    let folder = Folder::colors();
    let call = format!("{COMPARE} --epochs 2 --threads 2 --dry-run --jobs 2 --out out");
    let said = folder.run(&call).ok().stdout();
    let last = said.lines().last().unwrap().trim();
    assert!(
        last.starts_with("together: about ") && last.contains(", 2 runs at a time, up to "),
        "{said}"
    );
    let json = folder.run(&format!("{call} --json")).ok().json();
    assert!(
        json.as_array()
            .unwrap()
            .iter()
            .all(|one| one["at_once"] == 2)
    );
    assert_eq!(json.as_array().unwrap().len(), 3);
}

#[test]
fn what_needs_one_run_at_a_time_is_said() {
    let folder = Folder::colors();
    for (flags, message) in [
        ("--jobs 0", "--jobs is 0, but must be at least 1"),
        ("--jobs many", "invalid value 'many' for '--jobs <N>'"),
        ("--jobs 2 --claims", "--claims compares times and memory"),
        (
            "--jobs 2 --budget 3s",
            "--budget gives each run the same time",
        ),
    ] {
        let outcome = folder.run(&format!("{COMPARE} --out out {flags}"));
        let said = outcome.stderr();
        assert!(
            outcome.code() == 2 && said.contains(message),
            "{flags}: {said}"
        );
        assert!(!folder.exists("out"));
    }
    let train = folder.run("train --data data --method lora --jobs 2 --out out");
    assert_eq!(train.code(), 2);
}

/// Starts an endless comparison of two runs at the same time, and waits until both train.
fn endless(folder: &Folder, out: &str) -> Child {
    let call = format!(
        "compare --data data --methods sft,linear,lora --epochs 100000 --batch-size 4 --threads 2 \
         --jobs 2 --ui none --out {out}"
    );
    let process = folder.start(&call, Stdio::piped());
    let begun = Instant::now();
    for method in ["sft", "linear"] {
        while !folder.exists(&format!("{out}/events/{method}")) {
            assert!(begun.elapsed() < Duration::from_mins(2));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    process
}

#[cfg(unix)]
#[test]
fn a_signal_stops_and_saves_all_runs_and_a_second_one_ends_them() {
    let folder = Folder::colors();
    let process = endless(&folder, "once");
    send("TERM", &process);
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.matches("stopping after the current step").count(),
        1,
        "{said}"
    );
    let stopped = report(&folder, "once");
    assert_eq!(runs(&stopped), [("sft", 0), ("linear", 0)]);
    assert!(stopped.interrupted && stopped.runs.iter().all(|run| run.stopped));
    assert!(stopped.failed.is_empty() && !folder.exists("once/events/lora"));
    for method in ["sft", "linear"] {
        assert!(folder.exists(&format!("once/checkpoint_{method}.safetensors")));
    }

    let process = endless(&folder, "twice");
    send("TERM", &process);
    send("TERM", &process);
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    // No run is left that works in the folder.
    let begun = Instant::now();
    Lock::check(&RunFolder::new(folder.path("twice"), false)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
}
