//! Runs that are ended by a signal at some moment and resumed: the same files as if nothing had
//! happened.
//!
//! `FINETUNE_MOMENTS=40` tries that many moments per command instead of a few.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use util::{Folder, send};

const TRAIN: &str = "train --method lora --data data --epochs 8 --batch-size 2 --augment light \
                     --ema 0.9 --lora-dropout 0.1 --valid-fraction 0.25 --keep best \
                     --checkpoint-seconds 0 --ui none";
const COMPARE: &str = "compare --methods sft,peft,linear --data data --epochs 3 --batch-size 2 \
                       --accumulate 2 --checkpoint-seconds 0 --ui none";

const TOGETHER: &str = "compare --methods sft,peft,linear --data data --epochs 3 --batch-size 2 \
                        --checkpoint-seconds 0 --threads 2 --ui none --jobs";

/// How long a run takes to stop, however slow the machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn ended(process: Child) -> Output {
    process.wait_with_output().unwrap()
}

/// The models, adapters and metrics of a folder, but for the times in them.
fn results(folder: &Folder, out: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder.path(out))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "safetensors"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn moments() -> u32 {
    let asked = std::env::var("FINETUNE_MOMENTS");
    asked.map_or(4, |count| count.parse().unwrap())
}

/// Ends `command` by each signal in turn at moments that are spread over its duration, resumes it with
/// these flags, and compares its files.
fn same_files_after_any_signal(command: &str, resumed_with: &str) {
    let folder = Folder::colors();
    let begun = Instant::now();
    folder.run(&format!("{command} --out whole")).ok();
    let duration = begun.elapsed();
    let expected = results(&folder, "whole");
    assert!(expected.len() >= 2, "{expected:?}");
    let signals = [("INT", 130), ("TERM", 143), ("KILL", 0), ("HUP", 129)];
    let count = moments();
    for moment in 0..count {
        let (signal, code) = signals[moment as usize % signals.len()];
        let out = format!("run{moment}");
        let process = folder.start(&format!("{command} --out {out}"), Stdio::piped());
        std::thread::sleep(duration.mul_f64(f64::from(moment + 1) / f64::from(count + 1)));
        send(signal, &process);
        let output = ended(process);
        let said = String::from_utf8_lossy(&output.stderr);
        if signal == "KILL" {
            assert!(
                output.status.signal() == Some(9) || output.status.success(),
                "{said}"
            );
        } else {
            let ended_with = output.status.code().unwrap_or_default();
            assert!(
                [0, code].contains(&ended_with),
                "{signal}: {ended_with}: {said}"
            );
        }
        let resume = command.split_whitespace().next().unwrap();
        if folder.exists(&format!("{out}/plan.json")) {
            folder
                .run(&format!("{resume} --resume {out} --ui none {resumed_with}"))
                .ok();
        } else if !folder.exists(&format!("{out}/config.json")) {
            // It was ended before it had begun, and left nothing in the way of another try.
            folder.run(&format!("{command} --out {out}")).ok();
        }
        assert!(
            results(&folder, &out) == expected,
            "{signal} at moment {moment} of {count}: {said}"
        );
        std::fs::remove_dir_all(folder.path(&out)).unwrap();
    }
}

#[test]
fn a_run_that_any_signal_ends_has_the_same_files_once_it_is_resumed() {
    same_files_after_any_signal(TRAIN, "");
}

#[test]
fn a_comparison_that_any_signal_ends_has_the_same_files_once_it_is_resumed() {
    same_files_after_any_signal(COMPARE, "");
}

#[test]
fn runs_at_the_same_time_that_any_signal_ends_are_resumed_with_any_number_at_the_same_time() {
    same_files_after_any_signal(&format!("{TOGETHER} 2"), "--jobs 3");
    same_files_after_any_signal(&format!("{TOGETHER} 3"), "--jobs 1");
}

#[test]
fn the_first_signal_is_acknowledged_and_the_second_one_ends_the_command_at_once() {
    let folder = Folder::colors();
    let command = "train --data data --epochs 100000 --ui none --out run";
    let process = folder.start(command, Stdio::piped());
    let begun = Instant::now();
    while !folder.exists("run/events") {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    // Both signals arrive while the run stops, or the second one after it has.
    send("TERM", &process);
    send("TERM", &process);
    let output = ended(process);
    assert_eq!(output.status.code(), Some(143));

    let process = folder.start(
        "train --data data --epochs 100000 --ui none --out other",
        Stdio::piped(),
    );
    while !folder.exists("other/events") {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    send("INT", &process);
    let output = ended(process);
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("stopping after the current step"), "{said}");
    assert!(said.ends_with("`--resume other` continues\n"), "{said}");
    // Where it was stopped is saved, although no epoch was due for a checkpoint.
    assert!(folder.exists("other/checkpoint_sft.safetensors"));
    assert_eq!(folder.json("other/report.json")["interrupted"], true);
    assert_eq!(folder.json("other/report.json")["runs"][0]["stopped"], true);
}
