//! Plans, configurations, reports and checkpoints that nobody but an attacker or a broken disk writes:
//! one line, and no panic.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use finetune::folder::Plan;
use finetune::training::Checkpoint;
use finetune::{Comparison, evaluation::Report};
use proptest::prelude::*;
use serde_json::{Value, json};
use util::{Folder, line};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/runs/0.1.0");

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURE}/{name}")).unwrap()
}

/// All paths of a JSON document, as JSON pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                pointers(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Values that a field does not expect.
fn hostile() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e308),
        json!(-0.5),
        json!(""),
        json!("\u{1b}[31m\u{0}"),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!("x".repeat(1000)),
    ]
}

/// A folder with a copy of the stopped run, one of whose files has another content.
fn stopped(file: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "plan.json",
        "config.json",
        "report.json",
        "checkpoint_lora.safetensors",
    ] {
        std::fs::write(
            folder.path().join(name),
            fixture(&format!("stopped/{name}")),
        )
        .unwrap();
    }
    std::fs::write(folder.path().join(file), bytes).unwrap();
    folder
}

/// Each field of plans and reports gets each of the hostile values. Either it is an error, or what was
/// read can be used: it is shown and written again.
#[test]
fn a_field_with_a_value_that_it_does_not_expect_is_an_error_or_harmless() {
    for file in ["plan.json", "report.json"] {
        let whole: Value = serde_json::from_slice(&fixture(&format!("stopped/{file}"))).unwrap();
        let mut paths = Vec::new();
        pointers(&whole, "", &mut paths);
        let (mut rejected, mut accepted) = (0, 0);
        for path in &paths {
            for value in hostile() {
                let mut changed = whole.clone();
                *changed.pointer_mut(path).unwrap() = value;
                let folder = stopped(file, changed.to_string().as_bytes());
                match Comparison::resume(folder.path()) {
                    Err(error) => {
                        assert!(error.to_string().len() < 5000, "{path}");
                        rejected += 1;
                    }
                    Ok(comparison) => {
                        for run in &comparison.plan().runs {
                            run.check().unwrap();
                        }
                        accepted += 1;
                    }
                }
                if let Ok(report) = Report::read(&folder.path().join("report.json")) {
                    let summaries = finetune::evaluation::summarize(&report);
                    let said = finetune::evaluation::finding(&summaries);
                    assert!(!said.is_empty());
                    assert!(!finetune::evaluation::table(&report).is_empty());
                    finetune::evaluation::html(&report).unwrap();
                }
            }
        }
        assert!(
            rejected > 100 && accepted > 10,
            "{file}: {rejected} {accepted}"
        );
    }
}

#[test]
fn files_that_end_early_or_nest_deeply_are_errors() {
    for file in ["plan.json", "report.json"] {
        let whole = fixture(&format!("stopped/{file}"));
        let nested = b"[".repeat(1_000_000);
        let cut = (0..whole.len() - 2)
            .step_by(97)
            .map(|length| &whole[..length]);
        for bytes in cut.chain([nested.as_slice(), b"\xff\xfe", b"1e999", b"NaN", b"{}"]) {
            let folder = stopped(file, bytes);
            assert!(Comparison::resume(folder.path()).is_err(), "{file}");
        }
    }
    // 1e999 where a number is wanted.
    let plan = String::from_utf8(fixture("stopped/plan.json")).unwrap();
    let plan = plan.replace("\"learning_rate\": 0.01", "\"learning_rate\": 1e999");
    let folder = stopped("plan.json", plan.as_bytes());
    let error = Plan::read_unfinished(folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("out of range"), "{error}");
}

#[test]
fn a_checkpoint_that_ends_early_is_an_error() {
    let whole = fixture("stopped/checkpoint_lora.safetensors");
    Checkpoint::from_bytes(&whole).unwrap();
    for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        assert!(
            Checkpoint::from_bytes(&whole[..length]).is_err(),
            "{length}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_checkpoint_with_other_bytes_is_an_error_or_another_checkpoint(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = fixture("stopped/checkpoint_lora.safetensors");
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = Checkpoint::from_bytes(&bytes);
    }

    #[test]
    fn the_header_of_a_checkpoint_may_claim_anything(
        changes in prop::collection::vec((0_usize..2000, any::<u8>()), 1..4),
    ) {
        let mut bytes = fixture("stopped/checkpoint_lora.safetensors");
        for (at, byte) in &changes {
            bytes[*at] = *byte;
        }
        let _ = Checkpoint::from_bytes(&bytes);
    }
}

/// A safetensors file with this state of training and the tensors of the fixture.
fn with_progress(change: impl Fn(&mut Value)) -> Vec<u8> {
    let whole = fixture("stopped/checkpoint_lora.safetensors");
    let length = usize::try_from(u64::from_le_bytes(whole[..8].try_into().unwrap())).unwrap();
    let mut header: Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    let state = &mut header["__metadata__"]["finetune-checkpoint"];
    let mut progress: Value = serde_json::from_str(state.as_str().unwrap()).unwrap();
    change(&mut progress);
    *state = Value::from(progress.to_string());
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(&whole[8 + length..]);
    bytes
}

#[test]
fn a_state_of_training_that_no_run_has_is_one_line() {
    let folder = Folder::new();
    let resume = |bytes: &[u8]| {
        let run = stopped("checkpoint_lora.safetensors", bytes);
        let resumed = folder.run(&format!(
            "train --resume {} --ui none",
            run.path().display()
        ));
        (resumed.code() != 0).then(|| line(&resumed, 1))
    };
    assert_eq!(resume(&with_progress(|_| ())), None);
    let changes: [(&str, Value); 9] = [
        ("epochs", json!([])),
        ("step_seconds", json!([])),
        ("step_seconds", json!(vec![1.0; 1000])),
        ("best", json!(0)),
        ("best", json!(u64::MAX)),
        ("steps", json!({})),
        ("steps", json!({"nowhere": 3})),
        ("epochs", json!([{"epoch": 1}])),
        ("seconds", Value::Null),
    ];
    for (field, value) in changes {
        let bytes = with_progress(|progress| progress[field] = value.clone());
        let said = resume(&bytes);
        if field == "steps" && value == json!({}) {
            continue; // a run whose optimiser has not stepped
        }
        let said = said.unwrap_or_else(|| panic!("{field}: {value} is accepted"));
        assert!(said.contains("checkpoint"), "{said}");
    }
    let bytes = with_progress(|progress| progress["epochs"][1]["epoch"] = json!(1));
    assert!(
        resume(&bytes)
            .unwrap()
            .contains("the numbers of its epochs")
    );
}

#[cfg(unix)]
#[test]
fn files_that_never_end_are_not_read() {
    let folder = Folder::new();
    for file in [
        "plan.json",
        "config.json",
        "report.json",
        "checkpoint_lora.safetensors",
    ] {
        let run = stopped(file, b"");
        let path = run.path().join(file);
        for kind in ["zero", "pipe"] {
            std::fs::remove_file(&path).unwrap();
            if kind == "zero" {
                std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            } else {
                let made = std::process::Command::new("mkfifo")
                    .arg(&path)
                    .status()
                    .unwrap();
                assert!(made.success());
            }
            if file == "config.json" {
                std::fs::remove_file(run.path().join("plan.json")).ok();
            }
            let run = run.path().display();
            let outcome = if file == "config.json" {
                folder.run(&format!("evaluate --run {run}"))
            } else {
                folder.run(&format!("train --resume {run} --ui none"))
            };
            let said = line(&outcome, 1);
            assert!(said.contains("not a regular file"), "{file}: {said}");
        }
    }
}

#[test]
fn numbers_beyond_reason_are_wrong_calls() {
    let folder = Folder::colors();
    for (flags, wanted) in [
        ("--epochs 1000000000000", "--epochs"),
        ("--batch-size 1000000000000000000", "batch size is"),
        (
            "--accumulate 1000000000000",
            "batches per optimiser step is",
        ),
        ("--image-size 100000", "at most 4096"),
        ("--threads 1000000", "threads"),
        ("--max-pixels 0", "max-pixels"),
    ] {
        let outcome = folder.run(&format!("train --data data --out out --ui none {flags}"));
        let said = line(&outcome, 2);
        assert!(said.contains(wanted) || flags.contains("epochs"), "{said}");
        assert!(!folder.exists("out"));
    }
    let seeds = "compare --data data --out out --seed 18446744073709551615 --seeds 2";
    line(&folder.run(seeds), 2);
    assert!(!folder.exists("out"));
}
