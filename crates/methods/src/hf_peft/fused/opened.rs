//! The files of an adapter while their parts are joined.

use std::ops::Range;

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use crate::hf_peft::order::Order;
use crate::hf_peft::read::{File, LayerTensors};
use crate::hf_peft::settings::Settings;
use crate::inspect::Layer;

/// The two files of an adapter while their parts are joined.
pub(in crate::hf_peft) struct Opened<'a> {
    pub(in crate::hf_peft) file: &'a mut File,
    pub(in crate::hf_peft) config: &'a mut Map<String, Value>,
    pub(in crate::hf_peft) order: &'a mut Order,
    pub(in crate::hf_peft) device: &'a Device,
}

/// A layer of the model that a library has in parts.
pub(super) struct InParts<'a> {
    pub(super) layer: &'a Layer,
    /// Its name with braces.
    pub(super) name: String,
    /// The names of the parts and their rows.
    pub(super) parts: Vec<(String, Range<usize>)>,
}

impl Opened<'_> {
    pub(super) fn tensors<'a>(&'a mut self, name: &'a str, layer: &'a Layer) -> LayerTensors<'a> {
        LayerTensors {
            file: self.file,
            name,
            layer,
            device: self.device,
        }
    }

    pub(super) fn settings(&self) -> Settings<'_> {
        Settings {
            map: self.config,
            order: self.order,
        }
    }

    /// Gives a layer a value in a table of patterns, before all that is there.
    pub(super) fn set(&mut self, table: &str, layer: &str, value: Value) {
        let entry = self.config.entry(table).or_insert(Value::Null);
        if entry.is_null() {
            *entry = json!({});
        }
        // What is no table is rejected when it is read.
        if let Value::Object(entries) = entry {
            let pattern = format!("^{}", regex::escape(layer));
            self.order.first(table, &pattern);
            entries.insert(pattern, value);
        }
    }
}
