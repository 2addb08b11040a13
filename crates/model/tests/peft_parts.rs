//! Adapters of HF PEFT on models of transformers, which have queries, keys and values in three layers.
//! `tests/parity/peft.py` wrote the fixtures.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/architectures.rs"]
#[allow(dead_code)] // what compares architectures
mod parity;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, TensorData};
use finetune_methods::adapters::LoraInit;
use finetune_methods::catalogue::{
    AdaloraConfig, Bias, Ia3Config, LohaConfig, LokrConfig, OftConfig, ShiraConfig, VeraConfig,
};
use finetune_methods::hf_peft::HfPeftAdapter;
use finetune_methods::state::{from_safetensors, to_safetensors};
use finetune_methods::{
    Floats, LoraConfig, Method, Scope, SparseSharedConfig, Targets, TrainedTensor, Values, layers,
    parameters,
};
use finetune_model::{Architecture, Head, Network, PeftNames, WeightsFile, load_peft, save_peft};
use parity::{CLASSES, images, uniform, weights};

const V4: &str = "transformers";
const V5: &str = "transformers 5";

/// The names of a library, without those of a base.
fn names_of(library: &str) -> PeftNames<'_> {
    PeftNames {
        library: Some(library),
        base: None,
    }
}

/// A base of `peft.py`: its architecture, its image size, and the library of its weights.
fn base(name: &str) -> (Architecture, usize, &'static str) {
    let (architecture, side, library) = match name {
        "vit" => ("vit_tiny_patch16_224", 32, V4),
        "dinov2" => ("dinov2_small", 56, V4),
        "registers" => ("dinov2_small_reg", 56, V4),
        "dinov3" => ("dinov3_small", 64, V5),
        "dinov3_plus" => ("dinov3_small_plus", 64, V5),
        "clip" => ("clip_vit_base_patch32", 64, V4),
        "siglip" => ("siglip_base_patch16_224", 64, V4),
        other => panic!("{other} is not a base"),
    };
    let architecture = Architecture::find(architecture).unwrap();
    (architecture.at(side).unwrap(), side, library)
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/peft")
}

fn logits(folder: &Path) -> Vec<f32> {
    let bytes = std::fs::read(folder.join("logits.safetensors")).unwrap();
    let tensor = from_safetensors(&bytes).unwrap().remove(0);
    match tensor.values {
        Values::Floats(values) => values.into_vec(),
        Values::Indices(_) => panic!("logits are numbers"),
    }
}

/// The largest difference, relative to the largest wanted value.
fn apart(found: Tensor<2>, wanted: &[f32]) -> f32 {
    let found: Vec<f32> = found.into_data().iter::<f32>().collect();
    assert_eq!(found.len(), wanted.len());
    let most = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, f32::max);
    let differences = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    most(&mut differences.into_iter()) / most(&mut wanted.iter().map(|value| value.abs()))
}

fn read(weights: &mut WeightsFile, case: &str, folder: &Path) -> (Network, Method) {
    let (architecture, side, _) = base(case.split('.').next().unwrap());
    let device = Device::flex().autodiff();
    let (attached, method) = load_peft(weights, &architecture, folder, &device).unwrap();
    let network = attached.into_parts().model;
    let x = images(2, side, side, &Device::flex());
    let found = apart(network.valid().forward(x), &logits(folder));
    assert!(found <= 1e-5, "{case}: {found:e} apart");
    (network, method)
}

/// Checks the fixtures of a base and returns the networks and methods by case.
fn check(name: &str) -> BTreeMap<String, (Network, Method)> {
    let (architecture, side, library) = base(name);
    let folder = tempfile::tempdir().unwrap();
    let mut file = weights(&architecture, Some(library), folder.path());
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let case = path.file_name().unwrap().to_str().unwrap();
        if case != name && !case.starts_with(&format!("{name}.")) {
            continue;
        }
        let (network, method) = read(&mut file, case, &path);

        // It trains on: a step of gradient descent lowers the loss.
        let device = Device::flex().autodiff();
        let x = images(2, side, side, &device);
        let labels = Tensor::<1, Int>::from_data(TensorData::from([0, 1]), &device);
        let loss = |network: &Network| {
            let loss = CrossEntropyLossConfig::new().init(&device);
            loss.forward(network.forward(x.clone()), labels.clone())
        };
        let before = loss(&network);
        let gradients = GradientsParams::from_grads(before.backward(), &network);
        let trained = SgdConfig::new()
            .init()
            .step(1e-4, network.clone(), gradients);
        let after = loss(&trained).into_scalar::<f32>();
        let before = before.into_scalar::<f32>();
        assert!(after < before, "{case}: from {before} to {after}");

        // What is written for the same library is read again.
        let again = folder.path().join(case);
        save_peft(&network, &method, &architecture, names_of(V4), &again).unwrap();
        std::fs::copy(
            path.join("logits.safetensors"),
            again.join("logits.safetensors"),
        )
        .unwrap();
        let (_, read_again) = read(&mut file, case, &again);
        assert_eq!(read_again.name(), method.name());
        found.insert(case.to_owned(), (network, method));
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn adapters_of_vit() {
    let found = check("vit");
    let lora = |case: &str| match &found[case].1 {
        Method::Lora(config) => config.clone(),
        other => panic!("{case} is {}", other.name()),
    };
    // The rank is the sum of those of the queries and of the values, and the larger factor is the
    // layer's: 6 / 2 for the queries, 5 / 3 for the values.
    let qkv = r"^blocks\.11\.attn\.qkv";
    let config = lora("vit.lora");
    assert_eq!(config.rank_pattern[qkv], 5);
    assert!((config.alpha_pattern[qkv] - 15.0).abs() < 1e-12);
    assert_eq!(lora("vit.old").rank_pattern[qkv], 4);
    // 3 / √4 and 3 / √2, and the whole has the rank 6.
    let config = lora("vit.rslora");
    assert_eq!(config.rank_pattern[qkv], 6);
    assert!((config.alpha_pattern[qkv] - 3.0 / 2.0_f64.sqrt() * 6.0_f64.sqrt()).abs() < 1e-12);
    assert!(lora("vit.dora").dora);
    // The bias of the keys, which the file lacks, is that of the base.
    let bias = |path: &str| {
        let listed = parameters(&found["vit.rslora"].0);
        listed.into_iter().find(|param| param.path == path).unwrap()
    };
    assert!(bias("blocks.11.attn.qkv.bias").trainable);
    assert!(!bias("blocks.0.attn.qkv.bias").trainable);
}

macro_rules! towers {
    ($($tower:ident)+) => {
        $(#[test] fn $tower() { check(stringify!($tower)); })+
    };
}

towers! { dinov2 registers dinov3 dinov3_plus clip siglip }

#[test]
fn a_head_of_other_features_is_rejected() {
    let (architecture, _, library) = base("dinov2");
    let folder = tempfile::tempdir().unwrap();
    let mut file = weights(&architecture, Some(library), folder.path());
    let adapter = folder.path().join("adapter");
    std::fs::create_dir(&adapter).unwrap();
    for name in ["adapter_model.safetensors", "adapter_config.json"] {
        std::fs::copy(fixtures().join("dinov2").join(name), adapter.join(name)).unwrap();
    }
    let path = adapter.join("adapter_config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    assert!(config.contains("\"Dinov2\""));
    let config = config.replace("\"Dinov2\"", "\"Dinov2ForImageClassification\"");
    std::fs::write(&path, config).unwrap();
    let error = load_peft(&mut file, &architecture, &adapter, &Device::flex()).unwrap_err();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains(
                "its head is that of Dinov2ForImageClassification, which takes other features than \
             `dinov2_small` here"
            ),
        "{error:?}"
    );
}

/// The network of a base with an adapter whose values are a formula of their names.
fn stirred(
    file: &mut WeightsFile,
    architecture: &Architecture,
    method: &Method,
    targets: &str,
) -> Network {
    struct Stir(Vec<(String, bool)>);
    impl ModuleMapper for Stir {
        #[allow(clippy::cast_possible_truncation)]
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (path, trainable) = self.0.remove(0);
            if !trainable {
                return param;
            }
            param.map(|tensor| {
                let shape = tensor.dims();
                let noise: Vec<f32> = uniform(&path, shape.iter().product())
                    .map(|u| u as f32 * 0.1)
                    .collect();
                let noise = Tensor::from_data(TensorData::new(noise, shape), &tensor.device());
                (tensor.detach() + noise).detach().set_require_grad(true)
            })
        }
    }
    let device = Device::flex().autodiff();
    let network = file
        .load(architecture, CLASSES, Head::Stored, &device)
        .unwrap()
        .network;
    let targets = Targets::parse(targets).unwrap();
    let scope = Scope::new(architecture.head, &targets, 1);
    let network = method.attach(network, &scope).unwrap().into_parts().model;
    let listed = parameters(&network).into_iter();
    let stir = listed.map(|param| (param.path, param.trainable)).collect();
    network.map(&mut Stir(stir))
}

fn lora(change: fn(&mut LoraConfig)) -> Method {
    let mut config = LoraConfig {
        rank: 2,
        alpha: 5.0,
        ..LoraConfig::default()
    };
    change(&mut config);
    Method::Lora(config)
}

/// The methods that can be divided, all on the default targets of the ViT.
fn methods() -> Vec<(&'static str, Method)> {
    vec![
        ("lora", lora(|_| {})),
        ("rslora", lora(|config| config.rslora = true)),
        ("dora", lora(|config| config.dora = true)),
        ("bias", lora(|config| config.bias = Bias::All)),
        (
            "ranks",
            lora(|config| {
                config.rank_pattern.insert("qkv".to_owned(), 3);
                config.alpha_pattern.insert(r"1\.attn\.qkv".to_owned(), 2.0);
            }),
        ),
        ("peft", Method::SparseShared(SparseSharedConfig::default())),
        ("vera", Method::Vera(VeraConfig::default())),
        ("adalora", Method::Adalora(AdaloraConfig::default())),
        ("ia3", Method::Ia3(Ia3Config::default())),
        ("loha", Method::Loha(LohaConfig::default())),
        ("oft", Method::Oft(OftConfig::default())),
    ]
}

/// Everything that is exported: a folder's name, the base, the method and the targets.
fn exported() -> Vec<(String, &'static str, Method, &'static str)> {
    let of_vit = methods().into_iter();
    let mut all: Vec<_> = of_vit
        .map(|(name, method)| (format!("vit.{name}"), "vit", method, "all-linear"))
        .collect();
    for name in [
        "dinov2",
        "registers",
        "dinov3",
        "dinov3_plus",
        "clip",
        "siglip",
    ] {
        all.push((name.to_owned(), name, lora(|_| {}), base(name).0.targets));
    }
    all
}

/// Writes what is exported of one base to a folder, with the logits beside each adapter.
fn export(name: &str, library: &str, to: &Path) {
    let (architecture, side, stored) = base(name);
    let folder = tempfile::tempdir().unwrap();
    let mut file = weights(&architecture, Some(stored), folder.path());
    for (case, _, method, targets) in exported().into_iter().filter(|(_, of, ..)| *of == name) {
        let network = stirred(&mut file, &architecture, &method, targets);
        let path = to.join(&case);
        save_peft(&network, &method, &architecture, names_of(library), &path).unwrap();
        let x = images(2, side, side, &Device::flex());
        let logits = TrainedTensor {
            path: "logits".to_owned(),
            shape: vec![2, CLASSES],
            values: Values::Floats(Floats::of(network.valid().forward(x))),
        };
        let bytes = to_safetensors(&[logits], &BTreeMap::new()).unwrap();
        std::fs::write(path.join("logits.safetensors"), bytes).unwrap();
        let (_, again) = read(&mut file, &case, &path);
        if case == "vit.oft" || case == "vit.adalora" || case == "vit.loha" {
            assert_eq!(again.name(), method.name());
        }
    }
}

#[test]
fn what_is_divided_is_joined_again() {
    for library in [V4, V5] {
        export("vit", library, tempfile::tempdir().unwrap().path());
    }
}

#[test]
fn what_cannot_be_divided_is_rejected_by_name() {
    let (architecture, _, library) = base("vit");
    let folder = tempfile::tempdir().unwrap();
    let mut file = weights(&architecture, Some(library), folder.path());
    let mut error = |method: &Method, library: &str, targets: &str| {
        let network = stirred(&mut file, &architecture, method, targets);
        let path = folder.path().join("adapter");
        let result = save_peft(&network, method, &architecture, names_of(library), &path);
        result.unwrap_err().to_string()
    };
    let pissa = lora(|config| config.init = LoraInit::Pissa);
    let q = "vit.layers.0.attention.{q_proj,k_proj,v_proj}";
    let cases = [
        (pissa, "whose changed bases would differ from this one's"),
        (
            Method::Lokr(LokrConfig::default()),
            "among which its LOKR cannot be divided",
        ),
        (
            Method::Shira(ShiraConfig::default()),
            "among which its SHIRA cannot be divided",
        ),
        (
            Method::Ia3(Ia3Config {
                feedforward: Some("qkv".to_owned()),
            }),
            "among which its IA3 cannot be divided",
        ),
    ];
    for (method, reason) in cases {
        let error = error(&method, V5, "blocks.0.attn.qkv");
        let wanted = format!("`{q}` is 3 layers, {reason}");
        assert!(error.contains(&wanted), "{error}");
    }
    // torch uses the weight of this layer of an nn.MultiheadAttention without calling it.
    let error = error(&lora(|_| {}), "torchvision", "blocks.0.attn.proj");
    assert!(
        error.contains("`blocks.0.attn.proj`: it is part of an nn.MultiheadAttention"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_joined_is_rejected_by_name() {
    let (architecture, _, library) = base("vit");
    let folder = tempfile::tempdir().unwrap();
    let mut file = weights(&architecture, Some(library), folder.path());
    let mut error = |case: &str, change: fn(&mut HfPeftAdapter)| {
        let read = |name| std::fs::read(fixtures().join(case).join(name)).unwrap();
        let config = String::from_utf8(read("adapter_config.json")).unwrap();
        let mut adapter =
            HfPeftAdapter::parse(&config, &read("adapter_model.safetensors")).unwrap();
        change(&mut adapter);
        let to = folder.path().join("adapter");
        std::fs::create_dir_all(&to).unwrap();
        let tensors = to_safetensors(&adapter.tensors, &BTreeMap::new()).unwrap();
        std::fs::write(to.join("adapter_config.json"), adapter.config_text()).unwrap();
        std::fs::write(to.join("adapter_model.safetensors"), tensors).unwrap();
        let error = load_peft(&mut file, &architecture, &to, &Device::flex()).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };

    let found = error("vit.old", |adapter| {
        let init = "pissa".into();
        adapter.config.insert("init_lora_weights".to_owned(), init);
    });
    assert!(
        found.contains("`init_lora_weights` is \"pissa\", with adapters on parts of `blocks.11"),
        "{found}"
    );
    let found = error("vit.old", |adapter| {
        adapter.config.insert("peft_type".to_owned(), "LOKR".into());
    });
    assert!(
        found.contains("its LOKR is on parts of `blocks.11.attn.qkv`"),
        "{found}"
    );
    let found = error("vit.old", |adapter| {
        adapter.config.insert("r".to_owned(), 3.into());
    });
    assert!(
        found.contains("attention.query` have the rank 2, but its configuration gives them 3"),
        "{found}"
    );
}

#[test]
fn words_name_layers_of_a_transformer() {
    let (architecture, ..) = base("vit");
    let all = layers(&architecture.build(2, 0, &Device::flex()));
    let named = |word: &str| -> BTreeSet<String> {
        let targets = Targets::parse(word).unwrap();
        let found = targets.select(&all, architecture.head).unwrap();
        let paths = found.into_iter().map(|layer| layer.path.clone());
        // Of the first block.
        paths
            .filter_map(|path| path.strip_prefix("blocks.0.").map(str::to_owned))
            .collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(named("attention"), set(&["attn.proj", "attn.qkv"]));
    assert_eq!(named("mlp"), set(&["mlp.fc1", "mlp.fc2"]));
    let linear = set(&["attn.proj", "attn.qkv", "mlp.fc1", "mlp.fc2"]);
    assert_eq!(named("all-linear"), linear);
    let convolutions = Architecture::find("resnet8-64").unwrap();
    let all = layers(&convolutions.build(2, 0, &Device::flex()));
    let targets = Targets::parse("attention").unwrap();
    assert!(targets.select(&all, convolutions.head).is_err());
}

/// Opt-in: set `FINETUNE_PYTHON` to a Python interpreter with what `peft.py` needs, and run with `--ignored`.
#[test]
#[ignore = "needs a Python with PEFT and transformers: see above"]
fn transformers_computes_the_same_logits_from_exported_adapters() {
    let python = std::env::var("FINETUNE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let names: BTreeSet<_> = exported().into_iter().map(|(_, name, ..)| name).collect();
    for name in names {
        export(name, V5, folder.path());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/peft.py");
    let output = std::process::Command::new(python)
        .arg(script)
        .arg("check")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(text.lines().count(), exported().len());
}
