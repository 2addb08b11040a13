//! Reads and writes HF PEFT adapters on a module outside this project. `fixtures/hf_peft.py` wrote
//! the adapters, and the logits that HF PEFT computes before and after an optimiser step.

#![allow(clippy::unwrap_used, missing_docs)]

mod hf;

use std::collections::BTreeMap;
use std::path::Path;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2dConfig;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Distribution};
use finetune_methods::adapters::LoraInit;
use finetune_methods::catalogue::{
    AdaloraConfig, Bias, Ia3Config, LohaConfig, LokrConfig, OftConfig, ShiraConfig, VeraConfig,
};
use finetune_methods::combine::Combination;
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::state::to_safetensors;
use finetune_methods::{
    Adapters, Floats, LoraConfig, Method, MethodError, Scope, SparseSharedConfig, Targets,
    TrainedTensor, Values, load, merge, parameters, trained,
};
use hf::{
    Net, apart, attach, attach_to, base, base_of, fixtures, input, labels, open, read, tensor,
};

const CASES: [&str; 20] = [
    "lora",
    "lora_patterns",
    "lora_bias",
    "lora_grouped",
    "rslora",
    "dora",
    "pissa",
    "olora",
    "adalora",
    "vera",
    "ia3",
    "loha",
    "lokr",
    "lokr_whole",
    "shira",
    "oft",
    "oft_exact",
    "oft_shared",
    "oft_coft",
    "oft_pointwise",
];

#[test]
fn logits_and_an_optimiser_step_agree_with_hf_peft() {
    let device = Device::flex().autodiff();
    for case in CASES {
        let folder = fixtures().join(case);
        let results = folder.join("results.safetensors");
        let (attached, _) = attach_to(base_of(case, &device), open(&folder)).unwrap();
        let x = input(&device);
        let logits = attached.model.forward(x.clone());
        let found = apart(logits.clone(), tensor("logits", &results, &device));
        assert!(found <= 1e-5, "{case}: logits {found:e} apart");
        if case == "lora_grouped" {
            continue;
        }

        let mut loss = CrossEntropyLossConfig::new()
            .init(&device)
            .forward(logits, labels(&device));
        if let Some(penalty) = attached
            .dynamics
            .and_then(|dynamics| dynamics.penalty(&attached.model))
        {
            loss = loss + penalty;
        }
        let found = apart(loss.clone(), tensor("loss", &results, &device));
        assert!(found <= 1e-5, "{case}: loss {found:e} apart");
        let gradients = GradientsParams::from_grads(loss.backward(), &attached.model);
        let model = SgdConfig::new()
            .init()
            .step(0.25, attached.model, gradients);
        let found = apart(model.forward(x), tensor("logits_after", &results, &device));
        assert!(found <= 1e-4, "{case}: after a step {found:e} apart");
    }
}

/// HF PEFT's unmerged OFT of a 3×3 convolution adds up overlapping patches, which no merged weight
/// can do, so this test compares with the model that HF PEFT merged.
#[test]
fn the_rotation_of_a_convolution_agrees_with_merged_hf_peft() {
    let device = Device::flex().autodiff();
    let folder = fixtures().join("oft_kernels");
    let stored = read(&folder.join("adapter_model.safetensors"));
    let results = folder.join("results.safetensors");
    let method = Method::Oft(OftConfig {
        block_size: 4,
        ..OftConfig::default()
    });
    let targets = Targets::parse("conv|hidden").unwrap();
    let net = method
        .attach(base(&device), &Scope::new("head", &targets, 0))
        .unwrap()
        .into_model()
        .unwrap();
    let mut tensors = trained(&net);
    for tensor in &mut tensors {
        let name = tensor.path.replace("weight.adapter.oft_r", "oft_R.weight");
        let (mut shape, mut values) = stored[&format!("base_model.model.{name}")].clone();
        if tensor.path == "head.weight" {
            let (rows, columns) = (shape[0], shape[1]);
            let transposed = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]);
            (shape, values) = (vec![columns, rows], transposed.collect());
        }
        assert_eq!(tensor.shape, shape, "{}", tensor.path);
        tensor.values = Values::Floats(values.into());
    }
    let net = load(net, tensors).unwrap();
    let x = input(&device);
    let logits = net.forward(x.clone());
    let found = apart(logits.clone(), tensor("logits", &results, &device));
    assert!(found <= 1e-5, "logits {found:e} apart");
    let loss = CrossEntropyLossConfig::new()
        .init(&device)
        .forward(logits, labels(&device));
    let gradients = GradientsParams::from_grads(loss.backward(), &net);
    let net = SgdConfig::new().init().step(0.25, net, gradients);
    let found = apart(net.forward(x), tensor("logits_after", &results, &device));
    assert!(found <= 1e-4, "after a step {found:e} apart");

    let error = attach(open(&folder), &device).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "adapter_config.json: `conv`: HF PEFT's OFT of a kernel larger than 1×1 adds up overlapping \
         patches, which no change of its weight can do"
    );
}

#[test]
fn coft_rotations_stay_within_their_limit_during_training() {
    let device = Device::flex().autodiff();
    let (parts, method) = attach(open(&fixtures().join("oft_coft")), &device).unwrap();
    assert!(matches!(&method, Method::Oft(config) if config.coft));
    let (mut model, mut dynamics) = (parts.model, parts.dynamics.unwrap());
    dynamics.start(3);
    let mut optimizer = SgdConfig::new().init();
    for step in 1..=3 {
        let loss = model.forward(input(&device)).powi_scalar(2).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1.0, model, gradients);
        let before = model.forward(input(&device));
        model = dynamics.after_step(step, model).0;
        // The forward pass already limits the rotations.
        assert!(apart(model.forward(input(&device)), before) <= 1e-6);
        let tensors = trained(&model);
        let entries = tensors.iter().find(|tensor| tensor.path.ends_with("oft_r"));
        let Values::Floats(entries) = &entries.unwrap().values else {
            unreachable!("entries are numbers")
        };
        for block in entries.chunks(6) {
            let length = (2.0 * block.iter().map(|entry| entry * entry).sum::<f32>()).sqrt();
            assert!(length <= 0.5 / 2.0_f32.sqrt() * 1.00001, "{length}");
        }
    }
}

#[test]
fn the_budget_of_adalora_falls_as_in_hf_peft() {
    let device = Device::flex().autodiff();
    let folder = fixtures().join("adalora");
    let (attached, _) = attach(open(&folder), &device).unwrap();
    let mut dynamics = attached.dynamics.unwrap();
    dynamics.start(10);
    let (mut model, x) = (attached.model, input(&device));
    let wanted: Tensor<2> = tensor("lambda", &folder.join("results.safetensors"), &device);
    let mut optimizer = SgdConfig::new().init();
    for step in 1..10 {
        let loss = CrossEntropyLossConfig::new()
            .init(&device)
            .forward(model.forward(x.clone()), labels(&device));
        let loss = loss + dynamics.penalty(&model).unwrap();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let gradients = dynamics.after_backward(&model, gradients);
        model = optimizer.step(0.25, model, gradients);
        model = dynamics.after_step(step, model).0;
        let lambda = |path: &str| {
            let tensors = trained(&model);
            let found = tensors
                .into_iter()
                .find(|tensor| tensor.path == path)
                .unwrap();
            match found.values {
                Values::Floats(values) => values.into_vec(),
                Values::Indices(_) => unreachable!("Λ is of numbers"),
            }
        };
        let found = [
            lambda("conv.weight.adapter.inner"),
            lambda("hidden.weight.adapter.inner"),
        ]
        .concat();
        let row: Vec<f32> = wanted
            .clone()
            .narrow(0, step - 1, 1)
            .into_data()
            .iter::<f32>()
            .collect();
        for (found, wanted) in found.iter().zip(&row) {
            assert!(
                (found - wanted).abs() <= 1e-4,
                "step {step}: {found} for {wanted}: {row:?}"
            );
            assert_eq!(*found == 0.0, *wanted == 0.0, "step {step}");
        }
    }
}

#[test]
fn an_adapter_that_was_read_is_written_unchanged() {
    let device = Device::flex().autodiff();
    for case in CASES {
        let folder = fixtures().join(case);
        let net = base_of(case, &device);
        let (attached, method) = attach_to(net, open(&folder)).unwrap();
        let written = HfPeftAdapter::of(&attached.model, &method, Names::same("head")).unwrap();
        let bytes = to_safetensors(&written.tensors, &BTreeMap::new()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (found, mut wanted) = (
            read(file.path()),
            read(&folder.join("adapter_model.safetensors")),
        );
        wanted.retain(|name, _| {
            !name.contains("modules_to_save") && !name.contains("original_module")
        });
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            wanted.keys().collect::<Vec<_>>(),
            "{case}"
        );
        for (name, (shape, values)) in &found {
            assert_eq!(&wanted[name].0, shape, "{case} {name}");
            assert_eq!(&wanted[name].1, values, "{case} {name}");
        }
        let again =
            HfPeftAdapter::parse(&written.config_text(), &std::fs::read(file.path()).unwrap());
        let (again, _) = attach_to(base_of(case, &device), again.unwrap()).unwrap();
        let x = input(&device);
        let found = apart(again.model.forward(x.clone()), attached.model.forward(x));
        assert!(
            found <= 1e-6,
            "{case}: {found:e} apart after writing and reading"
        );
    }
}

#[test]
fn named_adapters_are_switched_and_combined_as_in_hf_peft() {
    let device = Device::flex().autodiff();
    let folder = fixtures().join("combine");
    let results = folder.join("results.safetensors");
    let x = input(&device);
    let mut adapters = Adapters::new(base(&device));
    for name in ["a", "b"] {
        let (attached, method) = open(&folder.join(name))
            .attach(adapters.base().clone(), Names::same("head"))
            .unwrap();
        adapters.put(name, attached.into_model().unwrap(), method);
    }
    let parts = [("a", 0.7), ("b", -0.4)];
    let ways = [
        ("linear", Combination::Linear),
        ("cat", Combination::Cat),
        ("svd", Combination::Svd { rank: Some(2) }),
        ("ties", Combination::Ties { density: 0.5 }),
    ];
    for (name, how) in ways {
        adapters.combine(name, &parts, how).unwrap();
    }
    let names: Vec<String> = adapters.names().map(str::to_owned).collect();
    assert_eq!(names, ["a", "b", "cat", "linear", "svd", "ties"]);
    for name in names.iter().map(String::as_str).chain(["a", "base"]) {
        match name {
            "base" => adapters.disable(),
            _ => adapters.switch(name).unwrap(),
        }
        let inner = Device::flex();
        let found = apart(
            adapters.active().valid().forward(input(&inner)),
            tensor(name, &results, &inner),
        );
        assert!(found <= 1e-5, "{name}: {found:e} apart");
    }

    // With density 1, DARE equals the linear combination. With density 0.5, the result depends only
    // on the seed.
    let mut dare = |name: &str, density: f64, seed: u64| {
        let how = Combination::Dare { density, seed };
        adapters.combine(name, &parts, how).unwrap();
        adapters.get(name).unwrap().0.forward(x.clone())
    };
    let whole = dare("whole", 1.0, 0);
    assert!(apart(whole, tensor("linear", &results, &device)) <= 1e-5);
    let half = dare("half", 0.5, 0);
    assert!(apart(dare("again", 0.5, 0), half.clone()) == 0.0);
    assert!(apart(dare("other", 0.5, 1), half) > 1e-3);

    // The merged model has plain layers and the same outputs. Unmerging restores the outputs to the
    // bit.
    adapters.switch("svd").unwrap();
    let beside = adapters.active().forward(x.clone());
    adapters.merge().unwrap();
    let is_plain = |net: &Net| parameters(net).iter().all(|param| !param.in_adapter());
    assert!(is_plain(adapters.active()));
    assert!(apart(adapters.active().forward(x.clone()), beside.clone()) <= 1e-5);
    adapters.unmerge();
    assert!(!is_plain(adapters.active()));
    assert!(apart(adapters.active().forward(x.clone()), beside) == 0.0);

    // A combination can be written and read like any other adapter.
    let (model, method) = adapters.get("cat").unwrap();
    let written = HfPeftAdapter::of(model, method, Names::same("head")).unwrap();
    let (back, _) = attach(written, &device).unwrap();
    assert!(apart(back.model.forward(x.clone()), model.forward(x.clone())) <= 1e-6);

    let error = adapters
        .combine("cat", &parts, Combination::Cat)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("there is already an adapter `cat`; existing adapters: a, ")
    );
    let error = adapters.switch("c").unwrap_err().to_string();
    assert!(
        error.starts_with("there is no adapter `c`; existing adapters: a, "),
        "{error}"
    );
    let error = adapters.combine("c", &[("a", 1.0), ("cat", 1.0)], Combination::Linear);
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "`a` and `cat` cannot be combined: their ranks on `conv` are 3 and 6; use cat or svd"
    );
    let targets = Targets::all();
    let scope = Scope::new("head", &targets, 0);
    let ia3 = Method::Ia3(Ia3Config::default());
    drop(adapters.add("ia3", &ia3, &scope).unwrap());
    let error = adapters.combine("c", &[("a", 1.0), ("ia3", 1.0)], Combination::Cat);
    assert_eq!(
        error.unwrap_err().to_string(),
        "`a` and `ia3` cannot be combined: only LoRA adapters can be"
    );
    adapters.switch("a").unwrap();
    drop(adapters.remove("a").unwrap());
    assert!(
        apart(
            adapters.active().forward(x.clone()),
            adapters.base().forward(x)
        ) == 0.0
    );
}

fn changed(case: &str, change: impl FnOnce(&mut HfPeftAdapter)) -> String {
    let mut adapter = open(&fixtures().join(case));
    change(&mut adapter);
    let device = Device::flex().autodiff();
    let error = attach(adapter, &device)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
#[allow(clippy::too_many_lines)] // one case after the other
fn the_error_names_what_cannot_be_read() {
    let set = |key: &'static str, value: serde_json::Value| {
        changed("lora", |adapter| {
            adapter.config.insert(key.to_owned(), value);
        })
    };
    let error = set("peft_type", "BOFT".into());
    assert!(
        error.contains("`peft_type` is `BOFT`; supported: LORA"),
        "{error}"
    );
    let error = set("use_qalora", true.into());
    assert!(error.contains("`use_qalora` is true"), "{error}");
    let error = set("init_lora_weights", "loftq".into());
    assert!(error.contains("`init_lora_weights` is `loftq`"), "{error}");
    let error = set("r", "many".into());
    assert!(
        error.contains("`r` is `many`, but must be a whole number above 0"),
        "{error}"
    );
    let error = set("lora_dropout", 1.0.into());
    assert!(
        error.contains("dropout is 1, but must be at least 0"),
        "{error}"
    );
    // Unknown keys are rejected unless they are switched off.
    let error = set("a_new_idea", 7.into());
    assert!(error.contains("`a_new_idea` is 7"), "{error}");
    let mut adapter = open(&fixtures().join("lora"));
    for off in ["null", "false", "0", "[]", "{}", "\"\""] {
        let off = serde_json::from_str(off).unwrap();
        adapter.config.insert("a_new_idea".to_owned(), off);
        assert!(attach(adapter.clone(), &Device::flex().autodiff()).is_ok());
    }

    let first = |adapter: &mut HfPeftAdapter, end: &str| -> usize {
        let mut paths = adapter.tensors.iter();
        paths.position(|tensor| tensor.path.ends_with(end)).unwrap()
    };
    let error = changed("lora", |adapter| {
        let at = first(adapter, "conv.lora_B.weight");
        adapter.tensors.remove(at);
    });
    assert!(
        error.contains("lacks `base_model.model.conv.lora_B.weight`"),
        "{error}"
    );
    let error = changed("lora", |adapter| {
        let at = first(adapter, "head.weight");
        adapter.tensors[at].shape = vec![1, 21];
    });
    assert!(
        error.contains("`head.weight` is of shape [1, 21], the model's of [3, 7]"),
        "{error}"
    );
    let error = changed("lora", |adapter| {
        for tensor in &mut adapter.tensors {
            tensor.path = tensor.path.replace("hidden", "hidden2");
        }
    });
    assert!(error.contains("hidden2"), "{error}");
    let error = changed("lora", |adapter| {
        let at = first(adapter, "conv.lora_A.weight");
        adapter.tensors[at].shape = vec![3, 4, 3, 3];
        if let Values::Floats(values) = &mut adapter.tensors[at].values {
            values.to_mut().truncate(3 * 4 * 3 * 3);
        }
    });
    assert!(
        error.contains("factors of `conv` have the rank 3, but its configuration gives them 4"),
        "{error}"
    );
    let error = changed("vera", |adapter| {
        adapter
            .tensors
            .retain(|tensor| !tensor.path.contains("vera_A"));
    });
    assert!(error.contains("`save_projection` was off"), "{error}");
    let error = changed("lora_grouped", |adapter| {
        let at = first(adapter, "grouped.lora_A.weight");
        if let Values::Floats(values) = &mut adapter.tensors[at].values {
            values.to_mut().fill(1.0);
        }
    });
    assert!(error.contains("mixes its groups"), "{error}");
    let error = changed("lora_grouped", |adapter| {
        let at = first(adapter, "grouped.lora_A.weight");
        adapter.tensors[at].shape[0] = 3;
        if let Values::Floats(values) = &mut adapter.tensors[at].values {
            values.to_mut().truncate(3 * 6 * 3);
        }
    });
    assert!(
        error.contains("its rank 3 on `grouped` is not a multiple of the layer's 2 groups"),
        "{error}"
    );
    let error = changed("shira", |adapter| {
        let at = first(adapter, "shira_indices");
        if let Values::Indices(places) = &mut adapter.tensors[at].values {
            places[0] = 1000;
        }
    });
    assert!(
        error.contains("`hidden.shira_indices` do not fit"),
        "{error}"
    );
}

/// Attaches the method to the network and adds noise to all trainable parameters.
fn stirred(method: &Method, targets: &str, net: Net) -> Net {
    struct Stir(Vec<bool>);
    impl ModuleMapper for Stir {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !self.0.remove(0) {
                return param;
            }
            param.map(|tensor| {
                let noise = tensor.random_like(Distribution::Normal(0.0, 0.3));
                (tensor.detach() + noise).detach().set_require_grad(true)
            })
        }
    }
    let targets = Targets::parse(targets).unwrap();
    let scope = Scope {
        adapt_statistics: true,
        ..Scope::new("head", &targets, 1)
    };
    let net = method.attach(net, &scope).unwrap();
    let net = net.into_parts().model;
    let listed = parameters(&net);
    let net = net.map(&mut Stir(
        listed.iter().map(|param| param.trainable).collect(),
    ));
    // The forward pass changes the running statistics, which are saved with the adapter.
    let device = net.devices().remove(0);
    let _ = net.forward(input(&device) * 2.0 + 1.0);
    net
}

/// Returns every method that HF PEFT can represent, with the layers to which it is attached.
#[allow(clippy::too_many_lines)] // a list
fn exported() -> Vec<(&'static str, Method, &'static str)> {
    let lora = |change: fn(&mut LoraConfig)| {
        let mut config = LoraConfig {
            rank: 3,
            alpha: 5.0,
            ..LoraConfig::default()
        };
        change(&mut config);
        Method::Lora(config)
    };
    let ungrouped = "conv|hidden";
    vec![
        ("lora", lora(|_| {}), "all"),
        ("lora_bias", lora(|config| config.bias = Bias::All), "all"),
        (
            "lora_only_bias",
            lora(|config| config.bias = Bias::LoraOnly),
            "all",
        ),
        ("rslora", lora(|config| config.rslora = true), "all"),
        ("direct", lora(|config| config.rank = 7), "grouped"),
        ("dora", lora(|config| config.dora = true), ungrouped),
        (
            "pissa",
            lora(|config| config.init = LoraInit::Pissa),
            "hidden",
        ),
        (
            "olora",
            lora(|config| config.init = LoraInit::Olora),
            "hidden",
        ),
        (
            "peft",
            Method::SparseShared(SparseSharedConfig {
                rank: 5,
                density: 0.5,
                ..SparseSharedConfig::default()
            }),
            "all",
        ),
        (
            "vera",
            Method::Vera(VeraConfig {
                rank: 6,
                ..VeraConfig::default()
            }),
            "hidden",
        ),
        (
            "vera_conv",
            Method::Vera(VeraConfig {
                rank: 6,
                ..VeraConfig::default()
            }),
            "all",
        ),
        (
            "adalora",
            Method::Adalora(AdaloraConfig {
                rank: 7,
                target_rank: 4,
                ..AdaloraConfig::default()
            }),
            ungrouped,
        ),
        ("shira", Method::Shira(ShiraConfig { rank: 2 }), "hidden"),
        ("ia3", Method::Ia3(Ia3Config::default()), "all"),
        (
            "ia3_inputs",
            Method::Ia3(Ia3Config {
                feedforward: Some("hidden|grouped".to_owned()),
            }),
            "all",
        ),
        (
            "loha",
            Method::Loha(LohaConfig {
                rank: 2,
                alpha: 3.0,
                ..LohaConfig::default()
            }),
            "all",
        ),
        (
            "lokr",
            Method::Lokr(LokrConfig {
                rank: 1,
                alpha: 3.0,
                ..LokrConfig::default()
            }),
            "all",
        ),
        (
            "oft_pointwise",
            Method::Oft(OftConfig {
                block_size: 4,
                module_dropout: 0.3,
                ..OftConfig::default()
            }),
            ungrouped,
        ),
        (
            "oft_exact",
            Method::Oft(OftConfig {
                blocks: Some(4),
                cayley_neumann: false,
                ..OftConfig::default()
            }),
            "hidden",
        ),
        (
            "oft_coft",
            Method::Oft(OftConfig {
                block_size: 4,
                block_share: true,
                coft: true,
                eps: 0.7,
                ..OftConfig::default()
            }),
            "hidden",
        ),
    ]
}

#[test]
fn every_method_survives_a_round_trip_through_the_hf_peft_format() {
    let device = Device::flex().autodiff();
    for (name, method, targets) in exported() {
        let net = stirred(&method, targets, base_of(name, &device));
        let written = HfPeftAdapter::of(&net, &method, Names::same("head")).unwrap();
        let (back, again) = attach_to(base_of(name, &device), written).unwrap();
        if matches!(method, Method::Oft(_)) {
            assert_eq!(again, method);
        }
        let x = input(&Device::flex());
        let found = apart(
            back.model.valid().forward(x.clone()),
            net.valid().forward(x),
        );
        assert!(found <= 1e-5, "{name}: {found:e} apart");
        // Merging computes the dense change from what was read.
        let merged = merge(&back.model.valid()).unwrap();
        let x = input(&Device::flex());
        let found = apart(merged.forward(x.clone()), net.valid().forward(x));
        assert!(found <= 1e-5, "{name}: {found:e} apart when merged");
    }
}

#[test]
fn a_normalisation_whose_statistics_changed_is_written_whole() {
    let device = Device::flex().autodiff();
    let lora = Method::Lora(LoraConfig {
        rank: 2,
        ..LoraConfig::default()
    });
    let net = stirred(&lora, "hidden", base(&device));
    let written = HfPeftAdapter::of(&net, &lora, Names::same("head")).unwrap();
    let mut names: Vec<&str> = written
        .tensors
        .iter()
        .map(|tensor| tensor.path.as_str())
        .collect();
    names.sort_unstable();
    let wanted = [
        "head.bias",
        "head.weight",
        "hidden.lora_A.weight",
        "hidden.lora_B.weight",
        "norm.bias",
        "norm.num_batches_tracked",
        "norm.running_mean",
        "norm.running_var",
        "norm.weight",
    ];
    assert_eq!(names, wanted.map(|name| format!("base_model.model.{name}")));
}

#[test]
fn exporting_what_hf_peft_cannot_represent_is_an_error() {
    let device = Device::flex().autodiff();
    let refused = |method: &Method, targets: &str| {
        let net = stirred(method, targets, base(&device));
        let error = HfPeftAdapter::of(&net, method, Names::same("head")).unwrap_err();
        assert!(matches!(error, MethodError::NotInHfPeft { .. }), "{error}");
        error.to_string()
    };
    let dora = Method::Lora(LoraConfig {
        rank: 2,
        dora: true,
        ..LoraConfig::default()
    });
    assert!(refused(&dora, "all").contains("`grouped`: HF PEFT's DoRA does not support groups"));
    let shira = Method::Shira(ShiraConfig { rank: 1 });
    assert!(refused(&shira, "all").contains("`conv`: HF PEFT's SHiRA supports Linear layers only"));
    // 8 → 7: HF PEFT's rank 4 takes 4·15 of 56 entries, and rank 3 takes 45.
    let wide = Method::Shira(ShiraConfig { rank: 4 });
    assert!(refused(&wide, "hidden").contains("`hidden`: HF PEFT's SHiRA would need more entries"));
    let shira = Method::Shira(ShiraConfig { rank: 3 });
    let net = stirred(&shira, "hidden", base(&device));
    assert!(HfPeftAdapter::of(&net, &shira, Names::same("head")).is_ok());
    let lora = Method::Lora(LoraConfig {
        rank: 2,
        ..LoraConfig::default()
    });
    let dilated = |kernel: [usize; 2]| {
        let mut net = base(&device);
        net.conv = Conv2dConfig::new([4, 6], kernel)
            .with_stride([2, 2])
            .with_dilation([2, 1])
            .with_padding(PaddingConfig2d::Explicit(2, 1, 2, 1))
            .init(&device);
        HfPeftAdapter::of(&stirred(&lora, "conv", net), &lora, Names::same("head"))
    };
    let error = dilated([3, 3]).unwrap_err().to_string();
    assert!(error.contains("`conv`: HF PEFT's LoRA ignores a convolution's dilation"));
    assert!(dilated([1, 1]).is_ok());
    let oft = Method::Oft(OftConfig::default());
    assert!(refused(&oft, "grouped").contains("HF PEFT's OFT of a kernel larger than 1×1"));
    assert!(refused(&Method::Bitfit, "all").contains("bitfit has no type in HF PEFT"));
}

/// Opt-in: set `FINETUNE_PYTHON` to a Python interpreter with the versions of torch, peft and
/// safetensors that `hf_peft.py` names, and run with `--ignored`.
#[test]
#[ignore = "needs a Python with PEFT: see above"]
fn hf_peft_computes_the_same_logits_from_exported_adapters() {
    let python = std::env::var("FINETUNE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex().autodiff();
    let store = |path: &Path, tensors: Vec<TrainedTensor>| {
        std::fs::write(path, to_safetensors(&tensors, &BTreeMap::new()).unwrap()).unwrap();
    };
    std::fs::copy(
        fixtures().join("base.safetensors"),
        folder.path().join("base.safetensors"),
    )
    .unwrap();
    for (name, method, targets) in exported() {
        let net = stirred(&method, targets, base_of(name, &device));
        let written = HfPeftAdapter::of(&net, &method, Names::same("head")).unwrap();
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("adapter_config.json"), written.config_text()).unwrap();
        store(&path.join("adapter_model.safetensors"), written.tensors);
        let logits = net.valid().forward(input(&Device::flex()));
        let logits = TrainedTensor {
            path: "logits".to_owned(),
            shape: vec![5, 3],
            values: Values::Floats(Floats::of(logits)),
        };
        store(&path.join("logits.safetensors"), vec![logits]);
    }
    let script = fixtures().with_file_name("hf_peft.py");
    let output = std::process::Command::new(python)
        .arg(script)
        .arg("check")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(text.lines().count(), exported().len());
}
