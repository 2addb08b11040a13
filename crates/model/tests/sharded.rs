//! Weights in several files with an index.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use finetune_model::{
    Architecture, Head, StateTensor, WeightsFile, state_dict, write_pth, write_safetensors,
};
use serde_json::json;
use tempfile::TempDir;

const INDEX: &str = "model.safetensors.index.json";

fn tensors() -> Vec<StateTensor> {
    let small = Architecture::find("resnet8-64").unwrap();
    state_dict(&small.build(4, 7, &Device::flex()), small).unwrap()
}

/// The name of a part, as transformers numbers them.
fn part(number: usize, ending: &str) -> String {
    format!("model-0000{number}-of-00002.{ending}")
}

/// Writes the tensors in turn into two files, with an index.
fn write(ending: &str, index: &str, write: impl Fn(Vec<StateTensor>, &Path)) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut map = serde_json::Map::new();
    let mut parts = [Vec::new(), Vec::new()];
    for (number, tensor) in tensors().into_iter().enumerate() {
        map.insert(tensor.name.clone(), part(number % 2 + 1, ending).into());
        parts[number % 2].push(tensor);
    }
    for (number, tensors) in parts.into_iter().enumerate() {
        write(tensors, &folder.path().join(part(number + 1, ending)));
    }
    let path = folder.path().join(index);
    let document = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    std::fs::write(&path, document.to_string()).unwrap();
    (folder, path)
}

fn safetensors() -> (TempDir, PathBuf) {
    write("safetensors", INDEX, |tensors, path| {
        write_safetensors(tensors, &[("a".into(), "b".into())].into(), path).unwrap();
    })
}

/// Changes the index.
fn change(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
    let mut document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(document["weight_map"].as_object_mut().unwrap());
    std::fs::write(path, document.to_string()).unwrap();
}

fn refused(path: &Path, reason: &str) {
    let error = WeightsFile::open(path).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn several_files_are_read_as_one() {
    let pytorch = write("bin", "pytorch_model.bin.index.json", |tensors, path| {
        write_pth(&tensors, path).unwrap();
    });
    for (_folder, path) in [safetensors(), pytorch] {
        let mut file = WeightsFile::open(&path).unwrap();
        assert!(file.understand_as("resnet8-64").is_some());
        let tensors = tensors();
        assert_eq!(file.shapes().len(), tensors.len());
        for tensor in tensors {
            let values = tensor.values.into_vec();
            assert_eq!(
                file.values(&tensor.name).unwrap(),
                values,
                "{}",
                tensor.name
            );
        }
        let small = Architecture::find("resnet8-64").unwrap();
        let loaded = file.load(small, 4, Head::Stored, &Device::flex()).unwrap();
        assert!(!loaded.new_head && loaded.notes.is_empty());
    }
    let (_folder, path) = safetensors();
    assert_eq!(WeightsFile::open(&path).unwrap().metadata()["a"], "b");
}

#[test]
fn a_missing_part_is_named_with_its_path() {
    let (folder, path) = safetensors();
    let gone = folder.path().join(part(2, "safetensors"));
    std::fs::remove_file(&gone).unwrap();
    refused(
        &path,
        &format!(
            "its part `{}` is missing; put the file there",
            gone.display()
        ),
    );
}

#[test]
fn a_tensor_that_its_file_does_not_have_is_named() {
    let (_folder, path) = safetensors();
    change(&path, |map| {
        map.insert("linear.gain".into(), part(1, "safetensors").into());
    });
    refused(&path, "the tensor `linear.gain` should be in ");
}

#[test]
fn files_outside_the_folder_are_not_read() {
    for outside in [
        "../secret",
        "/etc/passwd",
        "a/../../b",
        "..\\b",
        "",
        ".",
        "a\nb",
    ] {
        let (_folder, path) = safetensors();
        change(&path, |map| {
            map.insert("linear.bias".into(), outside.into());
        });
        refused(&path, "which is not in its folder");
    }
}

#[test]
fn what_is_no_index_says_so() {
    let (_folder, path) = safetensors();
    for (text, reason) in [
        (
            "{}",
            "it is no index of weights in several files: missing field",
        ),
        ("{\"weight_map\": {}}", "its weight_map is empty"),
        ("{\"weight_map\": {\"a\": 1}}", "it is no index"),
        ("[", "it is no index"),
    ] {
        std::fs::write(&path, text).unwrap();
        refused(&path, reason);
    }
    let map: serde_json::Map<_, _> = (0..300)
        .map(|number| (number.to_string(), json!(format!("{number}.safetensors"))))
        .collect();
    std::fs::write(&path, json!({ "weight_map": map }).to_string()).unwrap();
    refused(&path, "it names more than 200 files");
    // A part is a file of tensors, not another index.
    let (_folder, path) = safetensors();
    change(&path, |map| {
        map.insert("linear.bias".into(), INDEX.into());
    });
    refused(&path, "is not a readable weights file");
}
