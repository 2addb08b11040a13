//! What onnxruntime computes with the files, compared with what the networks compute here. The tests
//! need a Python with onnx and onnxruntime, which `FINETUNE_PYTHON` names, so they are run by
//! `cargo test --workspace --test onnxruntime -- --ignored`. With `FINETUNE_ONNX_ONLY=WORD,…`, only
//! architectures are tested whose name contains one of the words.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use common::{CLASSES, description, fill_adapters, filled, images};
use finetune_methods::{LoraConfig, Method, Scope, SparseSharedConfig, Targets, merge};
use finetune_model::{ARCHITECTURES, Architecture, Network, StateTensor, write_safetensors};
use finetune_onnx::{OnnxError, export};

/// The largest difference of a logit, relative to the largest logit of the batch.
const MOST: f64 = 1e-4;

/// The script that runs onnxruntime.
struct Checker {
    child: Child,
    answers: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
    worst: f64,
    count: usize,
    failed: Vec<String>,
}

impl Checker {
    fn start() -> Self {
        let python = std::env::var("FINETUNE_PYTHON").expect("FINETUNE_PYTHON names a Python");
        let script: PathBuf = [
            env!("CARGO_MANIFEST_DIR"),
            "../../tests/parity/onnx_check.py",
        ]
        .iter()
        .collect();
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            answers,
            folder: tempfile::tempdir().unwrap(),
            worst: 0.0,
            count: 0,
            failed: Vec::new(),
        }
    }

    /// Compares a file with logits, for all images and for the first alone.
    fn check(&mut self, name: &str, file: &[u8], images: &Tensor<4>, logits: &Tensor<2>) {
        let path = self.folder.path().join("case");
        std::fs::write(path.with_extension("onnx"), file).unwrap();
        let tensors = vec![state("images", images), state("logits", logits)];
        write_safetensors(
            tensors,
            &BTreeMap::new(),
            &path.with_extension("safetensors"),
        )
        .unwrap();
        writeln!(self.child.stdin.as_ref().unwrap(), "{}", path.display()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let number = |key: &str| -> f64 {
            let rest = answer.split(&format!("\"{key}\": ")).nth(1);
            let rest = rest.unwrap_or_else(|| panic!("{name}: {answer}"));
            rest.split([',', '}']).next().unwrap().parse().unwrap()
        };
        let error = number("error").max(number("error_of_one"));
        println!("{name}: {error:.2e}, {} kB", file.len() / 1000);
        // Equal logits for all images would show nothing.
        if !(error <= MOST && number("spread") >= 10.0 * error) {
            self.failed.push(format!("{name}: {}", answer.trim()));
        }
        self.worst = self.worst.max(error);
        self.count += 1;
    }
}

impl Checker {
    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        println!("{} files, worst {:.2e}", self.count, self.worst);
        assert!(
            self.count > 0 && self.failed.is_empty(),
            "{:#?}",
            self.failed
        );
    }
}

fn state<const D: usize>(name: &str, tensor: &Tensor<D>) -> StateTensor {
    StateTensor {
        name: name.to_owned(),
        shape: tensor.dims().to_vec(),
        values: tensor.clone().into_data().iter::<f32>().collect(),
    }
}

/// The architectures that are tested.
fn chosen() -> Vec<&'static Architecture> {
    let words = std::env::var("FINETUNE_ONNX_ONLY").unwrap_or_default();
    let is_chosen = |architecture: &&Architecture| {
        words.is_empty()
            || words
                .split(',')
                .any(|word| architecture.name.contains(word))
    };
    ARCHITECTURES.iter().filter(is_chosen).collect()
}

#[test]
#[ignore = "needs onnxruntime, and a quarter of an hour"]
fn every_architecture_agrees() {
    let mut checker = Checker::start();
    let mut too_large = Vec::new();
    for architecture in chosen() {
        let mut network = architecture.build(CLASSES, 0, &Device::flex());
        // The largest ones with smaller images, for the time that they take.
        let architecture = if network.num_params() > 100_000_000 {
            small(architecture)
        } else {
            *architecture
        };
        if 4 * network.num_params() as u64 <= finetune_onnx::MOST_BYTES {
            network = filled(&architecture);
        }
        let file = match export(&network, Network::forward, &description(&architecture)) {
            Err(OnnxError::TooLarge { .. }) => {
                too_large.push(architecture.name);
                continue;
            }
            file => file.unwrap(),
        };
        let images = images(3, architecture.image_size);
        let logits = network.forward(images.clone());
        drop(network);
        checker.check(architecture.name, &file, &images, &logits);
    }
    println!("too large: {too_large:?}");
    checker.end();
}

/// Smaller images than the default ones, for networks that take any.
fn small(architecture: &'static Architecture) -> Architecture {
    use finetune_model::Sizes;
    let side = match architecture.sizes {
        Sizes::Fixed => architecture.image_size,
        Sizes::From(least) => least.max(64),
        Sizes::MultipleOf(patch) => (patch * 6).min(architecture.image_size),
    };
    architecture.at(side).unwrap()
}

#[test]
#[ignore = "needs onnxruntime, and a quarter of an hour"]
fn merged_adapters_agree() {
    let methods = [
        ("lora", Method::Lora(LoraConfig::default())),
        ("peft", Method::SparseShared(SparseSharedConfig::default())),
    ];
    let mut checker = Checker::start();
    for architecture in chosen() {
        let architecture = small(architecture);
        if filled_is_too_large(&architecture) {
            continue;
        }
        let network = filled(&architecture).train();
        for (name, method) in &methods {
            let network = network.clone();
            let targets = Targets::parse(architecture.targets_of(method).unwrap()).unwrap();
            let scope = Scope::new(architecture.head, &targets, 0);
            let attached = method.attach(network, &scope).unwrap().into_parts().model;
            let adapted = fill_adapters(attached).valid();
            let images = images(3, architecture.image_size);
            let logits = adapted.forward(images.clone());
            let merged = merge(&adapted).unwrap();
            drop(adapted);
            let file = export(&merged, Network::forward, &description(&architecture)).unwrap();
            drop(merged);
            checker.check(
                &format!("{}, {name}", architecture.name),
                &file,
                &images,
                &logits,
            );
        }
    }
    checker.end();
}

fn filled_is_too_large(architecture: &Architecture) -> bool {
    let network = architecture.build(CLASSES, 0, &Device::flex());
    4 * network.num_params() as u64 > finetune_onnx::MOST_BYTES
}

#[test]
#[ignore = "needs onnxruntime"]
fn layers_that_a_method_adds_are_part_of_the_graph() {
    use finetune_methods::catalogue::{AdaptformerConfig, VptConfig};
    let architecture = Architecture::find("vit_tiny_patch16_224")
        .unwrap()
        .at(64)
        .unwrap();
    let methods = [
        (
            "adaptformer",
            Method::Adaptformer(AdaptformerConfig::default()),
        ),
        ("vpt-deep", Method::VptDeep(VptConfig::default())),
    ];
    let mut checker = Checker::start();
    for (name, method) in methods {
        let network = filled(&architecture).train();
        let targets = Targets::parse(architecture.targets_of(&method).unwrap()).unwrap();
        let scope = Scope::new(architecture.head, &targets, 0);
        let attached = method.attach(network, &scope).unwrap();
        let adapted = fill_adapters(attached.into_model().unwrap()).valid();
        let images = images(3, 64);
        let logits = adapted.forward(images.clone());
        let file = export(&adapted, Network::forward, &description(&architecture)).unwrap();
        checker.check(name, &file, &images, &logits);
    }
    checker.end();
}
