//! Settings from files give the same run as flags, and a finished run can be repeated.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use util::Folder;

const TYPED: &str = "--data data --epochs 2 --batch-size 4 --image-size 16 --lr 0.02 --lora-rank 2 \
                     --set lora.alpha=3 --modules-to-save conv1,bn1";

const TOML: &str = r#"
data = "data"
epochs = 2
batch_size = 4
image-size = 16
lr = 0.02
lora_rank = 2
modules_to_save = ["conv1", "bn1"]
json = false
[set.lora]
alpha = 3
"#;

const JSON: &str = r#"{"data": "data", "epochs": 2, "batch_size": 4, "image_size": 16, "lr": 0.02,
    "lora_rank": 2, "modules_to_save": "conv1,bn1", "set": {"lora.alpha": 3}}"#;

fn with_files() -> Folder {
    let folder = Folder::colors();
    std::fs::write(folder.path("my.toml"), TOML).unwrap();
    std::fs::write(folder.path("my.json"), JSON).unwrap();
    folder
}

#[test]
fn a_file_replaces_flags_and_a_finished_run_can_be_repeated() {
    let folder = with_files();
    let train = "train --method lora --ui none";
    folder.run(&format!("{train} {TYPED} --out typed")).ok();
    for (file, out) in [("my.toml", "toml"), ("my.json", "json")] {
        folder
            .run(&format!("{train} --config {file} --out {out}"))
            .ok();
        assert_eq!(
            folder.json(&format!("{out}/config.json")),
            folder.json("typed/config.json")
        );
    }
    folder
        .run("train --config typed/config.json --ui none --out again")
        .ok();
    assert_eq!(
        folder.json("again/config.json"),
        folder.json("typed/config.json")
    );
    let read = |out: &str| {
        std::fs::read(folder.path(out).join("finetuned_model_lora.safetensors")).unwrap()
    };
    assert!(read("typed") == read("toml") && read("typed") == read("again"));

    // Flags override the file; settings of methods from both apply.
    folder
        .run(&format!(
            "{train} --config=my.toml --lr 0.5 --epochs=1 --set lora.rslora=true --out other"
        ))
        .ok();
    let run = &folder.json("other/config.json")["runs"][0];
    assert_eq!(run["recipe"]["learning_rate"], 0.5);
    assert_eq!(run["recipe"]["epochs"], 1);
    assert_eq!(run["method"]["alpha"], 3.0);
    assert_eq!(run["method"]["rslora"], true);
}

#[test]
fn wrong_files_are_errors_of_one_line() {
    let folder = with_files();
    let fails = |text: &str, message: &str| {
        std::fs::write(folder.path("wrong.toml"), text).unwrap();
        let outcome = folder.run("train --config wrong.toml --out out");
        let said = outcome.stderr();
        assert_eq!(outcome.code(), 2, "{said}");
        assert!(said.contains(message), "{said}");
        assert!(!folder.exists("out"));
    };
    fails(
        "epoch = 3",
        "`wrong.toml`: train has no setting `epoch`, did you mean `epochs`?",
    );
    fails(
        "methods = [\"sft\"]",
        "train has no setting `methods`, did you mean `method`?",
    );
    fails("config = \"wrong.toml\"", "train has no setting `config`");
    fails("epochs = ", "wrong.toml is not a valid configuration: ");
    fails(
        "epochs = \"many\"",
        "invalid value 'many' for '--epochs <N>'",
    );
    let missing = folder.run("train --config missing.toml --out out");
    assert_eq!(missing.code(), 1);
    assert!(
        missing
            .stderr()
            .contains("cannot read the configuration `missing.toml`")
    );

    folder
        .run("train --method lora --config my.toml --ui none --out done")
        .ok();
    let changed = folder.run("train --config done/config.json --lr 0.1 --out out");
    assert_eq!(changed.code(), 2);
    assert_eq!(
        changed.stderr(),
        "error: done/config.json is the configuration of a finished run, which is repeated as it was; \
         leave --lr out, or write what should differ into a file of settings\n"
    );
}
