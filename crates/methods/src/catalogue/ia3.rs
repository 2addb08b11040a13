//! (IA)³ (Liu et al. 2022, arXiv:2205.05638): scaled activations.

use burn::Tensor;
use burn::tensor::Device;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Scale, WeightShape, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    FOR_CONV1D, File, Form, HfPeft, Keys, LayerTensors, ONLY_AT_THE_START, ReadAdapters, Settings,
    Writer, any_of, rejected, shown,
};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, LayerKind, ParamInfo, regex};

/// Settings of (IA)³ (Liu et al. 2022, arXiv:2205.05638).
///
/// Parameters per layer: `outputs`, or `in` if its inputs are scaled, which for a convolution are all
/// input channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ia3Config {
    /// Which layers have their inputs scaled instead of their outputs: a regular expression that is
    /// searched for in the weights' paths.
    pub feedforward: Option<String>,
}

impl Default for Ia3Config {
    fn default() -> Self {
        Self {
            feedforward: Some(r"\.fc2\.weight$".to_owned()),
        }
    }
}

impl Ia3Config {
    fn expression(&self) -> Result<Option<Regex>, MethodError> {
        self.feedforward.as_deref().map(regex).transpose()
    }
}

/// Whether a layer's inputs are scaled rather than its outputs.
fn on_inputs(feedforward: Option<&Regex>, layer: &Layer) -> bool {
    feedforward.is_some_and(|regex| regex.is_match(&format!("{}.weight", layer.path)))
}

/// Number of input features, or of input channels of all groups.
fn inputs(shape: &WeightShape) -> usize {
    shape.groups * shape.inputs / shape.area()
}

impl Spec for Ia3Config {
    type Adapter = Scale;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.1,
        large: 0.01,
    });
    const HF_PEFT: HfPeft<Self, Scale> = HfPeft::Own(Form {
        peft_type: "IA3",
        keys: Keys {
            read: &["feedforward_modules"],
            unused: &[
                ("fan_in_fan_out", FOR_CONV1D),
                ("init_ia3_weights", ONLY_AT_THE_START),
            ],
            rejected: &[],
        },
        write: |_, to| {
            write(to);
            Ok(())
        },
        read,
    });

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        self.expression().map(|_| ())
    }

    fn maker<'a>(&self, _context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(Ia3Maker {
            feedforward: self.expression()?,
        })))
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        match self.expression() {
            Ok(feedforward) if on_inputs(feedforward.as_ref(), layer) => inputs(&layer.shape),
            _ => layer.shape.outputs,
        }
    }
}

struct Ia3Maker {
    feedforward: Option<Regex>,
}

impl Maker<Scale> for Ia3Maker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Scale> {
        let (device, shape) = (base.device(), layer.shape);
        let ones = |count| Some(start::full(1.0, [count], &device));
        let (on_inputs, on_outputs) = if on_inputs(self.feedforward.as_ref(), layer) {
            (ones(inputs(&shape)), None)
        } else {
            (None, ones(shape.outputs))
        };
        Made::from(Scale {
            on_inputs,
            on_outputs,
            shift: None,
            shape,
        })
    }
}

fn write(to: &mut Writer<'_>) {
    let mut on_inputs = Vec::new();
    for (name, layer) in to.layers.clone() {
        let inputs = to.tensors.matrix(&layer, Scale::ON_INPUTS);
        let is_input = inputs.is_some();
        let Some(factors) = inputs.or_else(|| to.tensors.matrix(&layer, Scale::ON_OUTPUTS)) else {
            continue;
        };
        let count = factors.values.len();
        let shape = match layer.kind {
            LayerKind::Conv2d { .. } => vec![1, count, 1, 1],
            LayerKind::Linear if is_input => vec![1, count],
            LayerKind::Linear => vec![count, 1],
        };
        to.put(&name, "ia3_l", factors, shape);
        if is_input {
            on_inputs.push(name);
        }
    }
    let feedforward = if on_inputs.is_empty() {
        json!([])
    } else {
        json!(any_of(&on_inputs))
    };
    to.insert(json!({
        "peft_type": "IA3",
        "feedforward_modules": feedforward,
        "fan_in_fan_out": false,
    }));
}

/// HF PEFT's `feedforward_modules`: which layers have their inputs scaled.
enum Feedforward {
    Expression(Regex),
    Endings(Vec<String>),
}

impl Feedforward {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Expression(regex) => regex.is_match(name),
            Self::Endings(endings) => endings.iter().any(|ending| name.ends_with(ending)),
        }
    }
}

fn read(
    settings: &Settings<'_>,
    _file: &mut File,
    _device: &Device,
) -> Result<Box<dyn ReadAdapters<Ia3Config, Scale>>, MethodError> {
    let feedforward = match settings.get("feedforward_modules") {
        None | Some(Value::Null) => Feedforward::Endings(Vec::new()),
        Some(Value::String(pattern)) => {
            let whole = regex(&format!("^(?:{pattern})$"));
            Feedforward::Expression(whole.map_err(|error| rejected(error.to_string()))?)
        }
        Some(Value::Array(endings)) => {
            let texts = endings
                .iter()
                .map(|ending| ending.as_str().map(str::to_owned));
            let texts: Option<Vec<_>> = texts.collect();
            Feedforward::Endings(texts.ok_or_else(|| {
                rejected(
                    "`feedforward_modules` is a list with something else than names".to_owned(),
                )
            })?)
        }
        Some(other) => {
            let (other, wanted) = (shown(other), "a list of names or an expression");
            return Err(rejected(format!(
                "`feedforward_modules` is {other}, but must be {wanted}"
            )));
        }
    };
    Ok(Box::new(ReadIa3 {
        feedforward,
        on_inputs: Vec::new(),
    }))
}

struct ReadIa3 {
    feedforward: Feedforward,
    /// Patterns of the paths of the layers that were read and have their inputs scaled.
    on_inputs: Vec<String>,
}

impl ReadAdapters<Ia3Config, Scale> for ReadIa3 {
    fn read(&mut self, from: &mut LayerTensors<'_>) -> Result<Option<Scale>, MethodError> {
        let shape = from.layer.shape;
        let is_input = self.feedforward.matches(from.name);
        let count = if is_input {
            inputs(&shape)
        } else {
            shape.outputs
        };
        let Some(factor) = from.numbers("ia3_l", count)? else {
            return Ok(None);
        };
        let (on_inputs, on_outputs) = if is_input {
            self.on_inputs.push(regex::escape(&from.layer.path));
            (Some(factor), None)
        } else {
            (None, Some(factor))
        };
        Ok(Some(Scale {
            on_inputs,
            on_outputs,
            shift: None,
            shape,
        }))
    }

    fn fit(&self, adapter: Scale, _layer: &Layer, _base: Tensor<2>) -> Made<Scale> {
        Made::from(adapter)
    }

    fn method(&self) -> Ia3Config {
        let names = &self.on_inputs;
        Ia3Config {
            feedforward: (!names.is_empty()).then(|| format!(r"^({})\.weight$", names.join("|"))),
        }
    }
}
