//! `export --format onnx`.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use finetune::onnx::proto::{Message, ModelProto};
use util::Folder;

const QUICK: &str = "--data data --epochs 2 --batch-size 4 --ui none";

/// All methods that change a network whose weights can be merged.
const MERGEABLE: [&str; 16] = [
    "sft", "lora", "peft", "probe", "linear", "bitfit", "norm", "vera", "adalora", "shira", "gps",
    "ia3", "ssf", "loha", "lokr", "oft",
];

fn decoded(folder: &Folder, file: &str) -> ModelProto {
    ModelProto::decode(&std::fs::read(folder.path(file)).unwrap()[..]).unwrap()
}

fn property<'a>(model: &'a ModelProto, key: &str) -> &'a str {
    let found = model.metadata_props.iter().find(|pair| pair.key == key);
    &found.unwrap_or_else(|| panic!("no {key}")).value
}

#[test]
fn a_run_is_exported_as_onnx_with_what_its_users_must_know() {
    let folder = Folder::colors();
    folder
        .run(&format!("train {QUICK} --method lora --fit pad --out run"))
        .ok();
    let said = folder
        .run("export --run run --out model.onnx")
        .ok()
        .stdout();
    assert!(said.contains("model.onnx"), "{said}");
    let model = decoded(&folder, "model.onnx");
    assert_eq!(model.opset_import[0].version, 17);
    assert_eq!(property(&model, "classes"), "[\"green\",\"red\"]");
    assert_eq!(property(&model, "model"), "resnet8-64");
    assert_eq!(property(&model, "method"), "lora");
    assert_eq!(property(&model, "image_size"), "64");
    assert_eq!(property(&model, "fit"), "pad");
    assert_eq!(property(&model, "input"), "(RGB / 255 - mean) / std");
    // The adapter is merged: a ResNet-8 has 7 convolutions, and the head is the only product.
    let nodes = &model.graph.as_ref().unwrap().node;
    let count = |kind: &str| nodes.iter().filter(|node| node.op_type == kind).count();
    assert_eq!((count("Conv"), count("MatMul")), (7, 1));

    folder
        .run("export --run run --format onnx --onnx-normalize --out pixels.onnx")
        .ok();
    let pixels = decoded(&folder, "pixels.onnx");
    assert_eq!(property(&pixels, "input"), "RGB from 0 to 255");
    assert_eq!(pixels.graph.unwrap().node.len(), nodes.len() + 3);
}

#[test]
fn what_cannot_be_exported_as_onnx_says_so_and_writes_nothing() {
    let folder = Folder::colors();
    folder
        .run("train --data data --method knn --ui none --out knn")
        .ok();
    let refused = |arguments: &str, reason: &str| {
        let outcome = folder.run(arguments);
        assert_eq!(outcome.code(), 2, "{}", outcome.stderr());
        let said = outcome.stderr();
        assert!(said.contains(reason), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    };
    refused(
        "export --run knn --out model.onnx",
        "knn has no network to export: it answers by the features of the training images",
    );
    refused(
        "export --run knn --format onnx --out model.pth",
        "--out `model.pth` ends like a file of the format pth, but --format is onnx",
    );
    refused(
        "export --run knn --format safetensors --out model.onnx",
        "--out `model.onnx` ends like a file of the format onnx, but --format is safetensors",
    );
    refused(
        "export --run knn --onnx-normalize --out model.pth",
        "--onnx-normalize is for ONNX files: leave it out",
    );
    for file in ["model.onnx", "model.pth"] {
        assert!(!folder.exists(file));
    }
}

#[test]
#[ignore = "needs onnxruntime: FINETUNE_PYTHON names a Python that has it"]
fn onnxruntime_predicts_what_predict_predicts() {
    let python = std::env::var("FINETUNE_PYTHON").expect("FINETUNE_PYTHON names a Python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/parity/onnx_check.py");
    let three = &MERGEABLE[..3];
    for (fit, flags, methods) in [
        ("crop", "", &MERGEABLE[..]),
        ("squash", "--onnx-normalize", three),
        ("pad", "", three),
    ] {
        let folder = Folder::colors();
        for method in methods {
            // It is fitted, and takes no steps.
            let settings = if *method == "probe" {
                "--data data --ui none"
            } else {
                // Not so far that all probabilities are 1.
                "--data data --epochs 1 --batch-size 16 --lr 0.0001 --ui none"
            };
            folder
                .run(&format!(
                    "train {settings} --method {method} --fit {fit} --out {method}"
                ))
                .ok();
            folder
                .run(&format!(
                    "export --run {method} --format onnx {flags} --out {method}.onnx"
                ))
                .ok();
            let predicted = folder
                .run(&format!("predict --run {method} --json data/test"))
                .ok();
            // The paths are relative to the folder.
            let text = predicted
                .stdout()
                .replace("data/test", &folder.path("data/test").display().to_string());
            std::fs::write(folder.path("predicted.json"), text).unwrap();
            let output = std::process::Command::new(&python)
                .args([script, "predict"])
                .arg(folder.path(&format!("{method}.onnx")))
                .arg(folder.path("predicted.json"))
                .output()
                .unwrap();
            let answer = String::from_utf8_lossy(&output.stdout);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            println!("{method}, {fit}: {}", answer.trim());
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["images"], 8);
            assert!(
                answer["error"].as_f64().unwrap() <= 1e-4,
                "{method}, {fit}: {answer}"
            );
            assert!(
                *method == "probe" || answer["least"].as_f64().unwrap() < 0.999,
                "{method}, {fit}: {answer}"
            );
        }
    }
}
