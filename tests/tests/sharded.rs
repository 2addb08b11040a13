//! Weights in several files with an index, as transformers writes large models.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::collections::BTreeMap;

use burn::tensor::Device;
use finetune::model::{Architecture, state_dict, write_safetensors};
use util::Folder;

const TRAIN: &str =
    "train --data data --method linear --epochs 2 --image-size 32 --ui none --threads 1";
const PARTS: [&str; 2] = [
    "base/model-00001-of-00002.safetensors",
    "base/model-00002-of-00002.safetensors",
];

/// Writes weights into two files and an index in the folder `base`.
fn write(folder: &Folder) {
    let small = Architecture::find("resnet8-64").unwrap();
    let tensors = state_dict(&small.build(3, 5, &Device::flex()), small).unwrap();
    let mut map = BTreeMap::new();
    let mut parts = [Vec::new(), Vec::new()];
    for (number, tensor) in tensors.into_iter().enumerate() {
        map.insert(
            tensor.name.clone(),
            PARTS[number % 2].trim_start_matches("base/"),
        );
        parts[number % 2].push(tensor);
    }
    std::fs::create_dir_all(folder.path("base")).unwrap();
    for (tensors, name) in parts.into_iter().zip(PARTS) {
        write_safetensors(tensors, &BTreeMap::new(), &folder.path(name)).unwrap();
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    let path = folder.path("base/model.safetensors.index.json");
    std::fs::write(path, index.to_string()).unwrap();
}

#[test]
fn a_run_starts_from_several_files_and_notices_if_one_changes() {
    let folder = Folder::colors();
    write(&folder);
    for (weights, out) in [("base", "a"), ("base/model.safetensors.index.json", "b")] {
        folder
            .run(&format!(
                "{TRAIN} --model resnet8-64 --weights {weights} --out {out}"
            ))
            .ok();
    }
    let model = |out: &str| std::fs::read(folder.path(out)).unwrap();
    assert_eq!(
        model("a/finetuned_model_linear.safetensors"),
        model("b/finetuned_model_linear.safetensors")
    );
    folder.run("evaluate --run a").ok();
    // Other values in the second part.
    let path = folder.path(PARTS[1]);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let said = folder.run("evaluate --run a").stderr();
    assert!(
        said.contains("no longer those that the run started from"),
        "{said}"
    );
    std::fs::remove_file(&path).unwrap();
    let said = folder
        .run(&format!(
            "{TRAIN} --model resnet8-64 --weights base --out d"
        ))
        .stderr();
    assert!(
        said.contains("00002.safetensors` is missing; put the file there"),
        "{said}"
    );
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}
