//! Which files a finished run has (`--save`), where exports go, and what cards say.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use finetune::evaluation::wilson;
use util::{Folder, line, names};

const RUN: &str = "--data data --epochs 2 --image-size 16 --ui none";

fn models(folder: &Folder, out: &str) -> Vec<String> {
    let mut files = names(&folder.path(out));
    files.retain(|name| name.ends_with(".safetensors"));
    files
}

#[test]
fn a_run_saves_what_is_asked_for_and_each_works() {
    let folder = Folder::colors();
    for save in ["adapter", "model", "both"] {
        folder
            .run(&format!(
                "train --method lora {RUN} --save {save} --out {save}"
            ))
            .ok();
    }
    let (adapter, model) = (
        "adapter_lora.safetensors",
        "finetuned_model_lora.safetensors",
    );
    assert_eq!(models(&folder, "adapter"), [adapter]);
    assert_eq!(models(&folder, "model"), [model]);
    assert_eq!(models(&folder, "both"), [adapter, model]);
    let read = |file: String| std::fs::read(folder.path(&file)).unwrap();
    assert_eq!(
        read(format!("adapter/{adapter}")),
        read(format!("both/{adapter}"))
    );
    assert_eq!(
        read(format!("model/{model}")),
        read(format!("both/{model}"))
    );
    // Only what differs from the default is in the configuration.
    assert_eq!(
        folder.json("adapter/config.json")["runs"][0]["save"],
        "adapter"
    );
    assert!(
        folder.json("both/config.json")["runs"][0]
            .get("save")
            .is_none()
    );

    // What was not written is made from the adapter and the base weights, the same to the byte.
    folder
        .run("merge --run adapter --out merged.safetensors")
        .ok();
    folder.run("merge --run both --out same.safetensors").ok();
    assert_eq!(
        read("merged.safetensors".to_owned()),
        read("same.safetensors".to_owned())
    );
    let accuracy = |args: &str| folder.run(args).ok().json()[0]["accuracy"].clone();
    let reported = folder.json("both/report.json")["runs"][0]["accuracy"].clone();
    for args in [
        "evaluate --json --run adapter",
        "evaluate --json --run model",
        "evaluate --json --run model --merged",
        "evaluate --json --run both --merged",
    ] {
        assert_eq!(accuracy(args), reported, "{args}");
    }
    folder.run("predict --run model data/test/red/000.png").ok();

    let said = line(&folder.run("evaluate --run adapter --merged"), 1);
    assert!(
        said.contains("--save adapter") && said.contains("finetune merge --run adapter"),
        "{said}"
    );
    let said = line(
        &folder.run("export --run model --format peft --out peft"),
        2,
    );
    assert!(
        said.contains("wrote its merged model alone (--save model)"),
        "{said}"
    );
    assert!(!folder.exists("peft"));
}

#[test]
fn a_comparison_saves_adapters_alone_and_models_if_there_is_no_adapter() {
    let folder = Folder::colors();
    folder
        .run(&format!(
            "compare --methods sft,lora,knn {RUN} --save adapter --out out"
        ))
        .ok();
    assert_eq!(
        models(&folder, "out"),
        [
            "adapter_knn.safetensors",
            "adapter_lora.safetensors",
            "finetuned_model_sft.safetensors"
        ]
    );
    folder.run("evaluate --run out").ok();
    let refused = line(
        &folder.run(&format!("train --method sft {RUN} --save adapter --out no")),
        2,
    );
    assert!(
        refused.contains("--save is about a frozen base"),
        "{refused}"
    );
    let call = format!("train --method lora {RUN} --save adapter --format pth --out no");
    assert!(line(&folder.run(&call), 2).contains("leave one of them out"));
    assert!(!folder.exists("no"));
}

#[test]
fn exports_replace_nothing_and_have_names_that_fit() {
    let folder = Folder::colors();
    folder
        .run(&format!("train --method lora {RUN} --out run"))
        .ok();
    for (call, file) in [
        ("export --run run --out a.safetensors", "a.safetensors"),
        ("export --run run --format pth --out b.pth", "b.pth"),
        ("merge --run run --out c.safetensors", "c.safetensors"),
    ] {
        folder.run(call).ok();
        std::fs::write(folder.path(file), "mine").unwrap();
        let refused = line(&folder.run(call), 2);
        assert!(
            refused.contains("exists already") && refused.contains("--overwrite"),
            "{refused}"
        );
        assert_eq!(std::fs::read(folder.path(file)).unwrap(), b"mine");
        folder.run(&format!("{call} --overwrite")).ok();
        assert_ne!(std::fs::read(folder.path(file)).unwrap(), b"mine");
    }
    // The file with the names of the classes counts as well.
    std::fs::write(folder.path("d.json"), "mine").unwrap();
    let refused = line(&folder.run("export --run run --out d.pth"), 2);
    assert!(refused.contains("`d.json` exists already"), "{refused}");
    assert!(!folder.exists("d.pth"));
    for (call, wanted) in [
        (
            "export --run run --format pth --out e.safetensors",
            "name it `e.pth`",
        ),
        (
            "export --run run --format safetensors --out e.pt",
            "name it `e.safetensors`",
        ),
        (
            "export --run run --format peft --out e.safetensors",
            "name a folder",
        ),
        ("merge --run run --out e.pth", "name it `e.safetensors`"),
    ] {
        let refused = line(&folder.run(call), 2);
        assert!(refused.contains(wanted), "{refused}");
    }
    assert!(
        !names(&folder.path(""))
            .iter()
            .any(|name| name.starts_with("e."))
    );
}

/// The value of a metric in the head of a card, as text.
fn metric(card: &str, name: &str) -> f64 {
    let start = card.find(&format!("name: \"{name}\"")).unwrap();
    let value = card[start..].lines().nth(1).unwrap();
    value
        .trim()
        .strip_prefix("value: ")
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn each_run_has_a_card() {
    let folder = Folder::colors();
    folder
        .run(&format!("train --method lora {RUN} --out run"))
        .ok();
    let card = std::fs::read_to_string(folder.path("run/MODEL_CARD.md")).unwrap();
    let run = &folder.json("run/report.json")["runs"][0];
    let accuracy = run["accuracy"].as_f64().unwrap();
    let (low, high) = wilson(8.0 * accuracy, 8.0);
    for (name, value) in [
        ("Accuracy", accuracy),
        ("Accuracy, lower end of the 95 % interval", low),
        ("Accuracy, upper end of the 95 % interval", high),
        ("Macro-F1", run["macro_f1"].as_f64().unwrap()),
    ] {
        assert!(
            (metric(&card, name) - value).abs() <= 5e-5,
            "{name}: {card}"
        );
    }
    for wanted in [
        "---\nlibrary_name: finetune\nlicense: unknown\npipeline_tag: image-classification\n",
        "- name: \"resnet8-64-lora-data\"",
        "16 images for training, 0 for validation, 8 for testing",
        "| `green` | 8 | 4 |",
        "| learning rate |",
        "A class has only 4 test images",
        "finetune predict --run FOLDER --method lora photo.jpg",
    ] {
        assert!(card.contains(wanted), "{wanted}: {card}");
    }
    // Folders of this machine are not in it.
    assert!(
        !card.contains(&*folder.path("").to_string_lossy()),
        "{card}"
    );

    folder
        .run(&format!("compare --methods linear,bitfit {RUN} --out both"))
        .ok();
    for method in ["linear", "bitfit"] {
        let card = format!("both/MODEL_CARD_{method}.md");
        let card = std::fs::read_to_string(folder.path(&card)).unwrap();
        assert!(
            card.contains(&format!("resnet8-64-{method}-data")),
            "{card}"
        );
    }
    folder
        .run(&format!("train --method linear {RUN} --force --out both"))
        .ok();
    let cards = names(&folder.path("both")).into_iter();
    let cards: Vec<_> = cards
        .filter(|name| name.starts_with("MODEL_CARD"))
        .collect();
    assert_eq!(cards, ["MODEL_CARD.md"]);
}

#[test]
fn an_adapter_for_peft_has_a_card_and_names_its_base() {
    let folder = Folder::colors();
    folder
        .run("pretrain --data data --model resnet8 --epochs 1 --ui none --out base.safetensors")
        .ok();
    folder
        .run(&format!(
            "train --method lora --weights base.safetensors {RUN} --out run"
        ))
        .ok();
    folder
        .run("export --run run --format peft --out adapter")
        .ok();
    let base = folder.path("base.safetensors").canonicalize().unwrap();
    let base = base.to_str().unwrap();
    let config = folder.json("adapter/adapter_config.json");
    assert_eq!(config["base_model_name_or_path"], base);
    assert_eq!(folder.json("adapter/finetune.json")["base"], base);
    let card = std::fs::read_to_string(folder.path("adapter/README.md")).unwrap();
    for wanted in [
        "library_name: peft\n",
        "PeftModel.from_pretrained",
        "`base.safetensors`",
    ] {
        assert!(card.contains(wanted), "{wanted}: {card}");
    }
    // Not again into a folder that has files.
    let refused = line(
        &folder.run("export --run run --format peft --out adapter"),
        2,
    );
    assert!(refused.contains("`adapter` exists already"), "{refused}");
    folder
        .run("merge --adapter adapter --weights base.safetensors --out merged.safetensors")
        .ok();
}
