//! `adapter_config.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::MethodError;

/// Settings that change what an adapter or its base computes in a way that is not supported. They are
/// rejected unless they are absent, null, false, 0 or empty, or the type supports them.
pub(super) const REJECTED: [&str; 21] = [
    "alora_invocation_tokens",
    "arrow_config",
    "corda_config",
    "eva_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "lora_ga_config",
    "megatron_config",
    "module_dropout",
    "monteclora_config",
    "rank_dropout",
    "rank_dropout_scale",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_effective_conv2d",
    "use_qalora",
    "velora_config",
];

/// Whether a setting is switched off.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) => false,
    }
}

/// An `adapter_config.json`.
pub(crate) struct Settings<'a>(pub(super) &'a Map<String, Value>);

impl Settings<'_> {
    /// Rejects the settings that change what is computed and are not supported.
    pub(crate) fn reject_all_but(&self, supported: &[&str]) -> Result<(), MethodError> {
        for name in REJECTED.iter().filter(|name| !supported.contains(name)) {
            if let Some(value) = self.0.get(*name).filter(|value| !is_off(value)) {
                return Err(rejected(format!(
                    "`{name}` is {value}, which is not supported"
                )));
            }
        }
        Ok(())
    }

    /// A setting's value, whatever it is.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, MethodError> {
        match self.0.get(name).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(wanted(name, "text")),
        }
    }

    /// A number of at least 1.
    pub(crate) fn count(&self, name: &str) -> Result<usize, MethodError> {
        self.0
            .get(name)
            .map_or(Err(wanted(name, "a whole number")), |value| {
                count_of(name, value)
            })
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, MethodError> {
        self.0
            .get(name)
            .map_or(Err(wanted(name, "a number")), |value| {
                number_of(name, value)
            })
    }

    /// A switch that is off if it is absent or null.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, MethodError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(wanted(name, "true or false")),
        }
    }

    /// A setting that may be absent or null.
    pub(crate) fn or<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &str) -> Result<T, MethodError>,
    ) -> Result<Option<T>, MethodError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => read(self, name).map(Some),
        }
    }

    /// A table from patterns to values; empty if it is absent.
    pub(crate) fn patterns<T>(
        &self,
        name: &str,
        read: impl Fn(&str, &Value) -> Result<T, MethodError>,
    ) -> Result<BTreeMap<String, T>, MethodError> {
        let Some(Value::Object(map)) = self.0.get(name) else {
            return Ok(BTreeMap::new());
        };
        map.iter()
            .map(|(pattern, value)| Ok((pattern.clone(), read(pattern, value)?)))
            .collect()
    }
}

pub(crate) fn count_of(name: &str, value: &Value) -> Result<usize, MethodError> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| wanted(name, "a whole number above 0"))
}

pub(crate) fn number_of(name: &str, value: &Value) -> Result<f64, MethodError> {
    value.as_f64().ok_or_else(|| wanted(name, "a number"))
}

fn wanted(name: &str, kind: &str) -> MethodError {
    rejected(format!("`{name}` must be {kind}"))
}

/// The error of a configuration that cannot be used.
pub(crate) fn rejected(reason: String) -> MethodError {
    MethodError::HfPeftConfig { reason }
}
