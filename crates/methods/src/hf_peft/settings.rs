//! `adapter_config.json`.

use finetune_files::{quoted, shortened, visible};
use serde_json::{Map, Value};

use super::keys::{Keys, Treatment};
use super::order::Order;
use crate::error::MethodError;

/// The most characters of a value that a message shows.
const MOST: usize = 200;

/// Whether a setting is switched off.
pub(crate) fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) => false,
    }
}

/// A value from outside in a message: its beginning if it is long.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) if items.len() > 3 => format!("a list of {} values", items.len()),
        Value::Object(map) if map.len() > 3 => format!("a table of {} entries", map.len()),
        Value::String(text) => quoted(text),
        _ => visible(&shortened(&value.to_string(), MOST)).into_owned(),
    }
}

/// An `adapter_config.json`.
pub(crate) struct Settings<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) order: &'a Order,
}

impl Settings<'_> {
    /// Rejects the settings that change what is computed and are not supported, or not known.
    pub(crate) fn reject_all_but(&self, keys: &Keys) -> Result<(), MethodError> {
        for (name, value) in self.map.iter().filter(|(_, value)| !is_off(value)) {
            match keys.treatment(name) {
                Treatment::Read | Treatment::Unused => {}
                Treatment::Rejected => {
                    return Err(rejected(format!(
                        "`{name}` is {}, which is not supported",
                        shown(value)
                    )));
                }
                Treatment::Unknown => {
                    return Err(rejected(format!(
                        "{} is {}, and PEFT 0.21.2 has no such setting, so that it is not known what \
                         it changes; if it changes nothing, remove it from the file",
                        quoted(name),
                        shown(value)
                    )));
                }
            }
        }
        Ok(())
    }

    /// A setting's value, whatever it is.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, MethodError> {
        match self.map.get(name).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wanted(name, "text")),
        }
    }

    /// A number of at least 1.
    pub(crate) fn count(&self, name: &str) -> Result<usize, MethodError> {
        match self.map.get(name).and_then(count_of) {
            Some(count) => Ok(count),
            None => Err(self.wanted(name, "a whole number above 0")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, MethodError> {
        match self.map.get(name).and_then(number_of) {
            Some(number) => Ok(number),
            None => Err(self.wanted(name, "a number")),
        }
    }

    /// A switch that is off if it is absent or null.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, MethodError> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(self.wanted(name, "true or false")),
        }
    }

    /// A setting that may be absent or null.
    pub(crate) fn or<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &str) -> Result<T, MethodError>,
    ) -> Result<Option<T>, MethodError> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => read(self, name).map(Some),
        }
    }

    /// The error of a setting that must be of another kind.
    fn wanted(&self, name: &str, kind: &str) -> MethodError {
        match self.map.get(name) {
            None => rejected(format!("`{name}` is missing; it must be {kind}")),
            Some(value) => rejected(format!("`{name}` is {}, but must be {kind}", shown(value))),
        }
    }
}

pub(super) fn count_of(value: &Value) -> Option<usize> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.filter(|count| *count > 0)
}

pub(super) fn number_of(value: &Value) -> Option<f64> {
    value.as_f64()
}

/// The error of a configuration that cannot be used.
pub(crate) fn rejected(reason: String) -> MethodError {
    MethodError::HfPeftConfig { reason }
}
