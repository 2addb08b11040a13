//! Reading and writing weights files: names, layouts, and files that are rejected.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use finetune_methods::{LoraConfig, Method, Scope, SparseSharedConfig, Targets};
use finetune_model::{
    ARCHITECTURES, Architecture, Head, ModelError, Network, Sizes, StateTensor, WeightsFile,
    load_adapter, save_adapter, save_network, tensors_of, write_safetensors,
};

fn logits(network: &Network, side: usize) -> Vec<f32> {
    let device = Device::flex();
    let count = i64::try_from(2 * 3 * side * side).unwrap();
    let images = Tensor::<1, burn::tensor::Int>::arange(0..count, &device)
        .float()
        .sin();
    let images = images.reshape([2, 3, side, side]);
    network.forward(images).into_data().iter::<f32>().collect()
}

fn small() -> &'static Architecture {
    Architecture::find("resnet8-64").unwrap()
}

#[test]
fn a_saved_network_has_the_names_of_pytorch_and_can_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let network = small().build(4, 7, &Device::flex());
    let metadata: BTreeMap<_, _> = [("finetune".to_owned(), "here".to_owned())].into();
    let size = save_network(&network, small(), &metadata, &path).unwrap();
    assert_eq!(size, path.metadata().unwrap().len());
    let mut file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.metadata(), metadata);
    let shapes = file.shapes();
    assert_eq!(shapes["conv1.weight"], [16, 3, 3, 3]);
    assert_eq!(shapes["layer2.0.conv1.weight"], [32, 16, 3, 3]);
    assert_eq!(shapes["layer3.0.bn2.running_var"], [64]);
    assert_eq!(shapes["linear.weight"], [4, 64]);
    // 7 convolutions, 7 norms of 4 tensors each, and the weight and bias of the head.
    assert_eq!(shapes.len(), 7 + 7 * 4 + 2);
    let loaded = file
        .load(small(), 4, Head::Stored, &Device::flex())
        .unwrap();
    assert!(!loaded.new_head);
    assert_eq!(logits(&loaded.network, 16), logits(&network, 16));
    // No temporary file remains.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_new_head_has_any_number_of_classes_and_the_rest_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let network = small().build(4, 7, &Device::flex());
    save_network(&network, small(), &BTreeMap::new(), &path).unwrap();
    let mut file = WeightsFile::open(&path).unwrap();
    let mut load = |seed| {
        file.load(small(), 9, Head::New { seed }, &Device::flex())
            .unwrap()
            .network
    };
    let (first, same, other) = (load(1), load(1), load(2));
    assert_eq!(logits(&first, 16).len(), 2 * 9);
    assert_eq!(logits(&first, 16), logits(&same, 16));
    assert_ne!(logits(&first, 16), logits(&other, 16));
    let error = file
        .load(small(), 9, Head::Stored, &Device::flex())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("linear.weight is [4, 64] instead of [9, 64]"),
        "{error}"
    );
}

#[test]
fn the_error_names_the_model_that_a_file_looks_like() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let network = small().build(4, 7, &Device::flex());
    save_network(&network, small(), &BTreeMap::new(), &path).unwrap();
    let mut file = WeightsFile::open(&path).unwrap();
    let chapter = Architecture::find("chapter").unwrap();
    let error = file
        .load(chapter, 4, Head::New { seed: 0 }, &Device::flex())
        .unwrap_err();
    assert!(matches!(error, ModelError::Mismatch { .. }));
    let error = error.to_string();
    assert!(
        error.contains("does not fit `chapter`: it looks like `resnet8`"),
        "{error}"
    );
    assert!(
        error.contains("missing: 0.weight, 0.bias, 4.weight, 4.bias"),
        "{error}"
    );
    assert!(error.contains("unexpected: bn1.bias"), "{error}");
}

/// Writes a safetensors file with these tensors, all of them zeros, as a sparse file.
fn zeros(path: &Path, tensors: &[(&str, &[usize])]) {
    let mut header = serde_json::Map::new();
    let mut start = 0;
    for (name, shape) in tensors {
        let end = start + 4 * shape.iter().product::<usize>();
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        header.insert((*name).to_owned(), entry);
        start = end;
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(&header).unwrap();
    file.set_len((8 + header.len() + start) as u64).unwrap();
}

#[test]
fn the_sequence_of_the_chapter_is_read_with_and_without_flatten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chapter.safetensors");
    let chapter = Architecture::find("chapter").unwrap();
    for [hidden, head] in [["4", "6"], ["3", "5"]] {
        let (hidden_weight, hidden_bias) = (format!("{hidden}.weight"), format!("{hidden}.bias"));
        let (head_weight, head_bias) = (format!("{head}.weight"), format!("{head}.bias"));
        zeros(
            &path,
            &[
                ("0.weight", &[64, 3, 3, 3]),
                ("0.bias", &[64]),
                (&hidden_weight, &[1000, 65536]),
                (&hidden_bias, &[1000]),
                (&head_weight, &[5, 1000]),
                (&head_bias, &[5]),
            ],
        );
        let mut file = WeightsFile::open(&path).unwrap();
        let network = file
            .load(chapter, 5, Head::Stored, &Device::flex())
            .unwrap()
            .network;
        assert!(logits(&network, 64).iter().all(|logit| *logit == 0.0));
    }
}

#[test]
fn a_safetensors_file_is_recognised_for_any_length_of_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    // Files with headers of 0x280 and 0x380 bytes, which are among them, begin like a pickle.
    for length in (0..1024).step_by(8) {
        let metadata = BTreeMap::from([("note".to_owned(), "x".repeat(length))]);
        let tensor = StateTensor {
            name: "a".to_owned(),
            shape: vec![1],
            values: vec![2.0].into(),
        };
        write_safetensors(vec![tensor], &metadata, &path).unwrap();
        let mut file = WeightsFile::open(&path).unwrap();
        assert_eq!(file.values("a").unwrap(), [2.0]);
    }
}

#[test]
fn a_saved_adapter_on_the_same_base_gives_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    let device = Device::flex().autodiff();
    for method in [
        Method::Lora(LoraConfig::default()),
        Method::SparseShared(SparseSharedConfig::default()),
        Method::Linear,
    ] {
        let attach = || {
            let targets = Targets::all();
            let scope = Scope::new("linear", &targets, 3);
            method
                .attach(small().build(4, 7, &device), &scope)
                .unwrap()
                .into_parts()
                .model
        };
        // Changes all trainable parameters by one step along the gradient.
        let network = attach();
        let loss = network
            .forward(Tensor::ones([1, 3, 16, 16], &device))
            .powi_scalar(2)
            .sum();
        let gradients = burn::optim::GradientsParams::from_grads(loss.backward(), &network);
        let network = burn::optim::SgdConfig::new()
            .init()
            .step(0.1, network, gradients)
            .valid();
        let size = save_adapter(&network.clone().train(), &BTreeMap::new(), &path).unwrap();
        assert!(size < 80_000, "{} takes {size} bytes", method.name());
        let back = load_adapter(attach(), &path).unwrap().valid();
        assert_ne!(logits(&back, 16), logits(&attach().valid(), 16));
        assert_eq!(logits(&back, 16), logits(&network, 16));
    }
}

#[test]
fn every_architecture_builds_and_has_its_head_and_targets() {
    // The chapter's network has a fixed size, and larger ones have the layers of a smaller one.
    let is_large = |architecture: &Architecture| {
        let tensors = tensors_of(architecture, None, 3).unwrap().into_iter();
        let count: usize = tensors
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        count > 30_000_000
    };
    for architecture in ARCHITECTURES {
        if architecture.sizes == Sizes::Fixed || is_large(architecture) {
            continue;
        }
        let side = match architecture.sizes {
            Sizes::From(least) => least.max(32),
            Sizes::MultipleOf(patch) => 2 * patch,
            Sizes::Fixed => unreachable!("left out above"),
        };
        let architecture = architecture.at(side).unwrap();
        let network = architecture.build(3, 0, &Device::flex());
        assert_eq!(logits(&network, side).len(), 2 * 3, "{}", architecture.name);
        let method = Method::Lora(LoraConfig::default());
        let targets = Targets::parse(architecture.targets_of(&method).unwrap()).unwrap();
        let scope = Scope::new(architecture.head, &targets, 0);
        drop(method.attach(network, &scope).unwrap());
    }
    assert!(
        Architecture::find("resnet9")
            .unwrap_err()
            .to_string()
            .starts_with("there is no model `resnet9`, did you mean `resnet8`? models: resnet8, ")
    );
}
