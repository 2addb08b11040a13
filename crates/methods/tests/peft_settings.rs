//! The settings of HF PEFT's files: patterns of ranks and alphas, ranks that were pruned to 0, and files
//! that nobody would write in good faith.

#![allow(clippy::unwrap_used, missing_docs)]

mod hf;

use std::collections::BTreeMap;

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::state::to_safetensors;
use finetune_methods::{Method, TrainedTensor, Values, merge};
use hf::{apart, attach, attach_to, base, fixtures, input, labels, open, read, tensor};
use proptest::prelude::*;
use serde_json::{Value, json};

const PATTERNS: [&str; 3] = ["loha_patterns", "lokr_patterns", "lora_order"];

#[test]
fn patterns_give_layers_their_ranks_and_alphas_as_in_hf_peft() {
    let device = Device::flex().autodiff();
    for case in PATTERNS {
        let folder = fixtures().join(case);
        let results = folder.join("results.safetensors");
        let (attached, method) = attach(open(&folder), &device).unwrap();
        let x = input(&device);
        let logits = attached.model.forward(x.clone());
        let found = apart(logits.clone(), tensor("logits", &results, &device));
        assert!(found <= 1e-5, "{case}: logits {found:e} apart");
        let merged = merge(&attached.model.clone()).unwrap().forward(x.clone());
        let found = apart(merged, tensor("logits", &results, &device));
        assert!(found <= 1e-5, "{case}: merged logits {found:e} apart");

        // What was read is written so that both read the same again.
        let written = HfPeftAdapter::of(&attached.model, &method, Names::same("head")).unwrap();
        let bytes = to_safetensors(&written.tensors, &BTreeMap::new()).unwrap();
        let again = HfPeftAdapter::parse(&written.config_text(), &bytes).unwrap();
        let (again, second) = attach(again, &device).unwrap();
        let found = apart(again.model.forward(x.clone()), logits.clone());
        assert!(found <= 1e-6, "{case}: {found:e} apart after writing");
        assert_eq!(second, method, "{case}");

        let loss = CrossEntropyLossConfig::new()
            .init(&device)
            .forward(logits, labels(&device));
        let gradients = GradientsParams::from_grads(loss.backward(), &attached.model);
        let model = SgdConfig::new()
            .init()
            .step(0.25, attached.model, gradients);
        let found = apart(model.forward(x), tensor("logits_after", &results, &device));
        assert!(found <= 1e-4, "{case}: after a step {found:e} apart");
    }
}

#[test]
fn a_method_with_patterns_survives_a_round_trip_through_its_settings() {
    let device = Device::flex().autodiff();
    for case in PATTERNS {
        let (_, method) = attach(open(&fixtures().join(case)), &device).unwrap();
        let text = serde_json::to_string(&method).unwrap();
        assert!(text.contains("_pattern\":{\"^"), "{case}: {text}");
        assert_eq!(serde_json::from_str::<Method>(&text).unwrap(), method);
    }
}

#[test]
fn a_layer_that_was_pruned_to_rank_0_is_left_as_it_is() {
    let device = Device::flex().autodiff();
    let folder = fixtures().join("adalora_pruned");
    let results = folder.join("results.safetensors");
    let stored = read(&folder.join("adapter_model.safetensors"));
    let empty = stored.values().filter(|(_, values)| values.is_empty());
    assert_eq!(empty.count(), 3);
    let (attached, method) = attach(open(&folder), &device).unwrap();
    let x = input(&device);
    let wanted: Tensor<2> = tensor("logits", &results, &device);
    let found = apart(attached.model.forward(x.clone()), wanted.clone());
    assert!(found <= 1e-5, "logits {found:e} apart");
    let merged = merge(&attached.model).unwrap();
    let conv = apart(
        merged.conv.weight.val(),
        tensor("conv.weight", &results, &device),
    );
    let hidden: Tensor<2> = tensor("hidden.weight", &results, &device);
    let hidden = apart(merged.hidden.weight.val().transpose(), hidden);
    assert!(conv <= 1e-6 && hidden <= 1e-6, "{conv:e} {hidden:e}");
    let written = HfPeftAdapter::of(&attached.model, &method, Names::same("head")).unwrap();
    let bytes = to_safetensors(&written.tensors, &BTreeMap::new()).unwrap();
    let again = HfPeftAdapter::parse(&written.config_text(), &bytes).unwrap();
    let (again, _) = attach(again, &device).unwrap();
    assert!(apart(again.model.forward(x), wanted) <= 1e-5);
}

/// The sensitivities are those of HF PEFT's allocator, which the last pruning goes by.
#[test]
fn importance_is_smoothed_at_the_same_steps_as_in_hf_peft() {
    let device = Device::flex().autodiff();
    let folder = fixtures().join("adalora");
    let wanted = read(&folder.join("importance.safetensors"));
    let (attached, _) = attach(open(&folder), &device).unwrap();
    let mut dynamics = attached.dynamics.unwrap();
    dynamics.start(10);
    let (mut model, x) = (attached.model, input(&device));
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
        let state: BTreeMap<String, Vec<f32>> = dynamics
            .state(&model)
            .into_iter()
            .map(|tensor| match tensor.values {
                Values::Floats(values) => (tensor.path, values.into_vec()),
                Values::Indices(_) => unreachable!("the state is of numbers"),
            })
            .collect();
        for (index, layer) in ["conv", "hidden"].into_iter().enumerate() {
            for (ours, theirs) in [("q", "lora_A"), ("p", "lora_B"), ("lambda", "lora_E")] {
                for kind in ["mean", "uncertainty"] {
                    let found = &state[&format!("{index}.{ours}.{kind}")];
                    let (_, wanted) = &wanted[&format!("{step}.{layer}.{theirs}.{kind}")];
                    assert_eq!(found.len(), wanted.len());
                    let most = wanted.iter().fold(0.0_f32, |most, value| most.max(*value));
                    for (found, wanted) in found.iter().zip(wanted) {
                        let apart = (found - wanted).abs();
                        assert!(
                            apart <= 2e-3 * most + 1e-9,
                            "step {step} {layer}.{theirs} {kind}: {found} for {wanted}"
                        );
                    }
                }
            }
        }
    }
}

/// A configuration and tensors as bytes of files.
fn parsed(config: &str, tensors: &[TrainedTensor]) -> Result<(), String> {
    let bytes = to_safetensors(tensors, &BTreeMap::new()).unwrap();
    let adapter = HfPeftAdapter::parse(config, &bytes).map_err(|error| error.to_string())?;
    let device = Device::flex().autodiff();
    let attached = attach_to(base(&device), adapter).map_err(|error| error.to_string())?;
    let _ = attached.0.model.forward(input(&device));
    Ok(())
}

fn error_of(config: &str, tensors: &[TrainedTensor]) -> String {
    let error = parsed(config, tensors).unwrap_err();
    assert!(error.len() < 1000, "{} bytes", error.len());
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!error.contains('\u{1b}'), "{error}");
    error
}

const CASES: [&str; 9] = [
    "lora", "dora", "adalora", "vera", "ia3", "loha", "lokr", "shira", "oft",
];

fn files(case: &str) -> (serde_json::Map<String, Value>, Vec<TrainedTensor>) {
    let adapter = open(&fixtures().join(case));
    (adapter.config, adapter.tensors)
}

fn text(config: &serde_json::Map<String, Value>) -> String {
    Value::Object(config.clone()).to_string()
}

#[test]
fn a_configuration_that_is_no_object_or_too_deep_is_an_error() {
    let (_, tensors) = files("lora");
    let deep = format!("{{\"r\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for config in [
        "",
        "[]",
        "null",
        "7",
        "\"LORA\"",
        "{",
        "{}",
        "{\"peft_type\": 3}",
        "{\"r\": NaN}",
        "{\"r\": 1e999}",
        "\u{feff}",
        &deep,
    ] {
        error_of(config, &tensors);
    }
}

#[test]
fn long_and_strange_texts_are_shown_in_part() {
    let (config, tensors) = files("lora");
    let long = "x\u{1b}[31m".repeat(300_000);
    for key in [
        "peft_type",
        "r",
        "lora_alpha",
        "init_lora_weights",
        "bias",
        "use_dora",
        "new",
    ] {
        let mut config = config.clone();
        config.insert(key.to_owned(), long.clone().into());
        error_of(&text(&config), &tensors);
    }
    let mut config = config.clone();
    config.insert(long.clone(), 1.into());
    error_of(&text(&config), &tensors);
    config.remove(&long);
    config.insert("alpha_pattern".to_owned(), json!({ long: 1 }));
    error_of(&text(&config), &tensors);
}

#[test]
fn a_list_or_table_in_a_message_is_whole_up_to_three_entries() {
    let (config, tensors) = files("lora");
    let error = |value: Value| {
        let mut config = config.clone();
        config.insert("new".to_owned(), value);
        error_of(&text(&config), &tensors)
    };
    assert!(error(json!([1, 2, 3])).contains("`new` is [1,2,3], and"));
    assert!(error(json!([1, 2, 3, 4])).contains("`new` is a list of 4 values, and"));
    let three = error(json!({"a": 1, "b": 2, "c": 3}));
    assert!(
        three.contains(r#"`new` is {"a":1,"b":2,"c":3}, and"#),
        "{three}"
    );
    let four = error(json!({"a": 1, "b": 2, "c": 3, "d": 4}));
    assert!(
        four.contains("`new` is a table of 4 entries, and"),
        "{four}"
    );
}

#[test]
fn patterns_that_cannot_be_read_are_named() {
    let (config, tensors) = files("loha");
    let with = |table: Value| {
        let mut config = config.clone();
        config.insert("rank_pattern".to_owned(), table);
        error_of(&text(&config), &tensors)
    };
    let error = with(json!({ "(": 2 }));
    assert!(
        error.contains("`rank_pattern` has the pattern `(`"),
        "{error}"
    );
    let error = with(json!({ "(?=conv)": 2 }));
    assert!(error.contains("look-around"), "{error}");
    let error = with(json!({ "((a{100}){100}){100}": 2 }));
    assert!(error.contains("cannot be read"), "{error}");
    let error = with(json!({ "a".repeat(1001): 2 }));
    assert!(error.contains("is longer than 1000 bytes"), "{error}");
    let mut longest = config.clone();
    longest.insert("rank_pattern".to_owned(), json!({ "a".repeat(1000): 2 }));
    assert_eq!(parsed(&text(&longest), &tensors), Ok(()));
    let error = with(json!({ "conv": -1 }));
    assert!(
        error.contains("gives `conv` -1, but it must be a whole number above 0"),
        "{error}"
    );
    let error = with(json!([1, 2]));
    assert!(error.contains("must be a table"), "{error}");
    let many: serde_json::Map<_, _> = (0..3000).map(|i| (format!("a{i}"), 1.into())).collect();
    let error = with(many.into());
    assert!(error.contains("3000 patterns"), "{error}");
    // The rank must be that of the stored factors.
    let error = with(json!({ "conv": 3 }));
    assert!(
        error.contains("`conv` have the rank 2, but its configuration gives them 3"),
        "{error}"
    );
}

#[test]
fn empty_and_huge_tensors_are_errors() {
    let huge = 1_usize << 40;
    for case in CASES {
        let (config, tensors) = files(case);
        for index in 0..tensors.len() {
            for shape in [
                vec![0, huge],
                vec![huge, 0],
                vec![0],
                vec![0, 0, huge, huge >> 20],
                vec![0, tensors[index].shape.last().copied().unwrap_or(1)],
            ] {
                let mut tensors = tensors.clone();
                tensors[index].shape = shape;
                tensors[index].values = match tensors[index].values {
                    Values::Floats(_) => Values::Floats(Vec::new().into()),
                    Values::Indices(_) => Values::Indices(Vec::new()),
                };
                let bytes = to_safetensors(&tensors, &BTreeMap::new()).unwrap();
                let Ok(adapter) = HfPeftAdapter::parse(&text(&config), &bytes) else {
                    continue;
                };
                let device = Device::flex().autodiff();
                // PEFT stores the head and the base's biases a second time; those are not read.
                let twice = |path: &str| path.contains("modules_to_save");
                let found = attach_to(base(&device), adapter);
                let path = &tensors[index].path;
                assert!(found.is_err() || twice(path), "{case} {path}");
            }
        }
    }
}

#[test]
fn a_missing_tensor_is_named() {
    for case in CASES {
        let (config, tensors) = files(case);
        for index in 0..tensors.len() {
            let path = &tensors[index].path;
            let of_adapter = ["lora_", "hada_", "lokr_", "vera_", "shira_"];
            let mut tensors = tensors.clone();
            let path = path.clone();
            tensors.remove(index);
            let found = parsed(&text(&config), &tensors);
            // LoRA's A, IA3's and OFT's only tensor say that a layer has an adapter.
            let first = ["lora_A", "lokr_w", "vera_lambda_d"];
            if of_adapter.iter().any(|name| path.contains(name))
                && !first.iter().any(|name| path.contains(name))
            {
                assert!(found.is_err(), "{case}: {path}");
            }
        }
    }
}

/// Values of every kind, most of them wrong.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..10).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2.0_f64..2.0).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!([])),
        Just(json!(["conv", 3, null])),
        Just(json!({})),
        (".{0,6}", any::<f64>()).prop_map(|(key, value)| json!({ key: value })),
        ("[a-z.*^$()|\\\\]{0,6}", -3_i64..10).prop_map(|(key, value)| json!({ key: value })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// One or two settings have any value: an error or an adapter, and never a panic.
    #[test]
    fn any_settings_give_an_adapter_or_an_error(
        case in 0..CASES.len(),
        keys in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 1..3),
    ) {
        let (mut config, tensors) = files(CASES[case]);
        let names: Vec<String> = config.keys().cloned().collect();
        for (key, value) in keys {
            config.insert(key.get(&names).clone(), value);
        }
        if let Err(error) = parsed(&text(&config), &tensors) {
            prop_assert!(error.lines().count() == 1 && error.len() < 1000, "{}", error);
        }
    }
}
