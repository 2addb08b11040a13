//! Any number in any setting of any method gives an adapted model or an error, and never a panic.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use burn::tensor::Device;
use finetune_methods::{Importance, Method, Scope, Targets, trained};
use proptest::prelude::*;
use serde_json::Value;

/// Numbers as people type them, and as they do not.
fn any_number() -> impl Strategy<Value = Value> {
    let special = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(-1.0),
        Just(1e-320),
        Just(1e39),
        Just(-1e300),
        Just(0.999_999_999_999),
    ];
    prop_oneof![
        (0_u64..20).prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        prop_oneof![
            Just(1_u64 << 16),
            Just(1 << 31),
            Just(1 << 32),
            Just(1 << 53),
            Just(u64::MAX)
        ]
        .prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        special.prop_map(Value::from),
        (-2.0_f64..2.0).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ]
}

/// Changes every number at or below `value` for which `numbers` has another.
fn change(value: &mut Value, numbers: &mut impl Iterator<Item = Option<Value>>) {
    match value {
        Value::Number(_) | Value::Null => {
            if let Some(Some(number)) = numbers.next() {
                *value = number;
            }
        }
        Value::Object(map) => map.values_mut().for_each(|value| change(value, numbers)),
        Value::Array(items) => items.iter_mut().for_each(|value| change(value, numbers)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_number_in_a_setting_gives_a_model_or_an_error(
        index in any::<prop::sample::Index>(),
        numbers in prop::collection::vec(prop::option::weighted(0.3, any_number()), 12),
        pattern in prop::option::of((any_number(), any_number())),
        variant in 0..6_usize,
        shape in common::shapes(),
    ) {
        let all = Method::all();
        let method = &all[index.index(all.len())];
        let mut settings = serde_json::to_value(method).unwrap();
        let mut numbers = numbers.into_iter();
        change(&mut settings, &mut numbers);
        let table = settings.as_object_mut().unwrap();
        if let (Some((rank, alpha)), true) = (pattern, table.contains_key("rank_pattern")) {
            table["rank_pattern"] = serde_json::json!({ "conv": rank });
            table["alpha_pattern"] = serde_json::json!({ "hid.*": alpha });
        }
        let of_lora = [
            ("init", Value::from("pissa")), ("init", "olora".into()), ("dora", true.into()),
            ("quantize", "nf4".into()), ("quantize", "int4".into()), ("rslora", true.into()),
        ];
        if let (Some((key, value)), true) = (of_lora.get(variant), table.contains_key("dora")) {
            table[*key] = value.clone();
        }
        // Numbers that a setting's type excludes are errors of reading.
        let Ok(method) = serde_json::from_value::<Method>(settings.clone()) else {
            return Ok(());
        };
        let device = Device::flex().autodiff();
        let net = shape.net(&device);
        let targets = Targets::all();
        let importance = Importance::default();
        let scope = Scope {
            importance: Some(&importance),
            ..Scope::new("head", &targets, 0)
        };
        let attached = match method.attach(net, &scope) {
            Ok(attached) => attached,
            Err(error) => {
                prop_assert_eq!(error.to_string().lines().count(), 1);
                return Ok(());
            }
        };
        let mut parts = attached.into_parts();
        if let Some(dynamics) = &mut parts.dynamics {
            dynamics.start(10);
            let _ = dynamics.penalty(&parts.model);
            for step in 1..=10 {
                parts.model = dynamics.after_step(step, parts.model).0;
            }
        }
        let logits = parts.model.forward(shape.images(&device));
        prop_assert_eq!(logits.dims(), [2, 3]);
        let tensors = trained(&parts.model);
        prop_assert!(!tensors.is_empty(), "{}", settings);
    }
}

/// Each of these once reached an assertion of Burn, or an allocation that cannot succeed.
#[test]
fn settings_that_no_layer_can_have_are_named() {
    let wrong = [
        (r#"{"method": "lora", "dropout": 1.0}"#, "dropout is 1,"),
        (r#"{"method": "lora", "dropout": -0.5}"#, "dropout is -0.5,"),
        (r#"{"method": "lora", "rank": 0}"#, "rank is 0,"),
        (
            r#"{"method": "lora", "rank": 4294967296}"#,
            "rank is 4294967296,",
        ),
        (r#"{"method": "lora", "alpha": 1e39}"#, "alpha is 1"),
        (
            r#"{"method": "lora", "init": "pissa", "alpha": 0.0}"#,
            "alpha is 0,",
        ),
        (
            r#"{"method": "gps", "per_output": 0}"#,
            "entries of each output is 0,",
        ),
        (r#"{"method": "shira", "rank": 0}"#, "rank is 0,"),
        (r#"{"method": "loha", "rank": 0}"#, "rank is 0,"),
        (
            r#"{"method": "vpt-deep", "count": 65537}"#,
            "prompts is 65537, but must be at most 65536",
        ),
        (
            r#"{"method": "loha", "rank": 4294967296}"#,
            "rank is 4294967296,",
        ),
        (
            r#"{"method": "lokr", "decompose_factor": 0}"#,
            "decomposition factor is 0,",
        ),
        (
            r#"{"method": "vera", "rank": 4294967296}"#,
            "rank is 4294967296,",
        ),
        (
            r#"{"method": "peft", "rank": 4294967296}"#,
            "rank is 4294967296,",
        ),
        (
            r#"{"method": "oft", "neumann_terms": 4294967296}"#,
            "number of terms is 4294967296,",
        ),
        (r#"{"method": "oft", "eps": 1e-300}"#, "eps is "),
        (
            r#"{"method": "vpt-deep", "count": 4294967296}"#,
            "prompts is 4294967296,",
        ),
        (
            r#"{"method": "adaptformer", "width": 4294967296}"#,
            "bottleneck is 4294967296,",
        ),
        (
            r#"{"method": "shira", "rank": 4294967296}"#,
            "rank is 4294967296,",
        ),
    ];
    let device = Device::flex().autodiff();
    for (settings, message) in wrong {
        let method: Method = serde_json::from_str(settings).unwrap();
        let targets = Targets::all();
        let net = common::plain().net(&device);
        let found = method.attach(net, &Scope::new("head", &targets, 0));
        let error = found.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(message), "{settings}: {error}");
    }
}
