//! Run folders that version 0.1.0 wrote, before the library and the command were separate crates:
//! `fixtures/runs/0.1.0/finished`, and `stopped`, the same run interrupted after its third of four epochs.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::path::Path;

use finetune::evaluation::Report;
use finetune::methods::state::from_safetensors;
use util::Folder;

/// A copy of the folders, which the tests may write to.
fn folders() -> Folder {
    let folder = Folder::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs/0.1.0");
    for run in ["finished", "stopped"] {
        std::fs::create_dir(folder.path(run)).unwrap();
        for file in std::fs::read_dir(fixtures.join(run)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path(run).join(file.file_name())).unwrap();
        }
    }
    folder
}

fn adapter(folder: &Folder, run: &str) -> Vec<(String, Vec<f32>)> {
    let bytes = std::fs::read(folder.path(run).join("adapter_lora.safetensors")).unwrap();
    let tensors = from_safetensors(&bytes).unwrap().into_iter();
    tensors
        .map(|tensor| {
            let finetune::methods::Values::Floats(values) = tensor.values else {
                panic!("{} has no floats", tensor.path)
            };
            (tensor.path, values.to_vec())
        })
        .collect()
}

#[test]
fn a_finished_run_is_evaluated_exported_and_repeated() {
    let folder = folders();
    let reported = Report::read(&folder.path("finished/report.json")).unwrap();
    // One photograph of 250 may differ: processors with other vectors sum in another order.
    let near = |accuracy: f64| (accuracy - reported.runs[0].accuracy).abs() <= 0.004 + 1e-9;
    for flags in ["", "--merged"] {
        let evaluated = folder
            .run(&format!("evaluate --run finished --json {flags}"))
            .ok()
            .json();
        assert!(near(evaluated[0]["accuracy"].as_f64().unwrap()), "{flags}");
    }
    folder.run("evaluate --run finished --epoch 3").ok();
    for (format, out) in [
        ("safetensors", "a.safetensors"),
        ("pth", "a.pth"),
        ("peft", "a"),
    ] {
        let export = format!("export --run finished --format {format} --out {out}");
        folder.run(&export).ok();
    }
    folder
        .run("merge --run finished --out merged.safetensors")
        .ok();
    let merged = std::fs::read(folder.path("merged.safetensors")).unwrap();
    let model = std::fs::read(folder.path("finished/finetuned_model_lora.safetensors")).unwrap();
    assert_eq!(merged.len(), model.len());
    folder
        .run("train --config finished/config.json --out again --ui none")
        .ok();
    let again = Report::read(&folder.path("again/report.json")).unwrap();
    // New heads start with smaller weights than in that version, so that the repeated run ends elsewhere.
    let apart = again.runs[0].accuracy - reported.runs[0].accuracy;
    assert!(apart.abs() < 0.1, "{apart}");
}

#[test]
fn an_interrupted_run_is_resumed_to_the_same_adapter() {
    let folder = folders();
    assert!(
        Report::read(&folder.path("stopped/report.json"))
            .unwrap()
            .runs[0]
            .stopped
    );
    folder.run("train --resume stopped --ui none").ok();
    let report = Report::read(&folder.path("stopped/report.json")).unwrap();
    assert_eq!(
        (report.runs[0].stopped, report.runs[0].epochs.len()),
        (false, 4)
    );
    assert!(!folder.exists("stopped/plan.json"));
    for ((path, found), (other, wanted)) in adapter(&folder, "stopped")
        .into_iter()
        .zip(adapter(&folder, "finished"))
    {
        assert_eq!(path, other);
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!(
                (found - wanted).abs() <= 1e-3,
                "{path}: {found} instead of {wanted}"
            );
        }
    }
}
