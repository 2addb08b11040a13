//! The table of methods, and the settings of HF PEFT.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Reparameterization;
use serde_json::Value;

use super::{Adapter, Method};
use crate::hf_peft::{Keys, is_off};
use crate::inspect::paths::ADAPTER;

#[test]
fn the_name_of_a_method_is_its_tag_in_files() {
    for method in Method::all() {
        let text = serde_json::to_value(&method).unwrap();
        assert_eq!(text["method"], method.name());
    }
}

#[test]
fn the_name_of_the_reparameterization_separates_weight_and_tensor_in_paths() {
    assert_eq!(ADAPTER, format!(".{}.", Adapter::NAME));
}

/// The fields of PEFT's dataclasses with their defaults, by type: `fixtures/hf_peft_fields.py` wrote
/// them.
fn fields() -> BTreeMap<String, BTreeMap<String, Value>> {
    let text = include_str!("../../tests/fixtures/hf_peft_fields.json");
    let mut found: BTreeMap<String, Value> = serde_json::from_str(text).unwrap();
    assert_eq!(found.remove("version"), Some("0.21.2".into()));
    let fields = |value| serde_json::from_value(value).unwrap();
    found
        .into_iter()
        .map(|(name, value)| (name, fields(value)))
        .collect()
}

fn types() -> BTreeMap<&'static str, Keys> {
    let all = Method::all();
    all.iter()
        .filter_map(|method| method.entry().peft_type())
        .collect()
}

#[test]
fn each_setting_of_hf_peft_is_read_or_known_to_change_nothing_or_rejected() {
    let (fields, types) = (fields(), types());
    let theirs: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(theirs, types.keys().copied().collect::<Vec<_>>());
    for (name, keys) in &types {
        let fields = &fields[*name];
        for field in fields.keys() {
            assert_eq!(keys.occurrences(field), 1, "{name}.{field}");
        }
        // Each key that is listed exists, so that no typing error hides a field.
        let listed: BTreeSet<&str> = keys.all().collect();
        let own = listed.iter().filter(|key| !fields.contains_key(**key));
        let own: Vec<_> = own.filter(|key| !OF_OTHER_TYPES.contains(key)).collect();
        assert!(own.is_empty(), "{name} has no {own:?}");
    }
}

/// Common keys that some types lack.
const OF_OTHER_TYPES: [&str; 3] = ["exclude_modules", "layers_to_transform", "layers_pattern"];

#[test]
fn what_is_rejected_is_switched_off_by_default() {
    let fields = fields();
    for (name, keys) in types() {
        for (field, default) in &fields[name] {
            if keys.rejects(field) {
                assert!(is_off(default), "{name}.{field} is {default} by default");
            }
        }
    }
}
