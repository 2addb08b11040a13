//! Divides what was written for a layer among the parts that a library has of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::MethodError;
use crate::hf_peft::names::PREFIX;
use crate::hf_peft::parts::{parts, ranges};
use crate::state::{Matrix, TrainedTensor, Values, floats};

/// How a part's tensor follows from that of the layer.
enum Along {
    /// It has the rows of the part.
    Rows,
    /// It is the same for all parts.
    Same,
}

/// How a tensor of a layer is divided, by its name in the layer; `None` if it cannot be.
///
/// A change `B·A` has the rows of `B`, whatever `A` is, and so has its length in `DoRA`; a rotation of
/// the inputs is that of each part.
fn along(own: &str, shape: &[usize]) -> Option<Along> {
    match own {
        "lora_A.weight" | "lora_A" | "lora_E" | "hada_w1_b" | "hada_w2_b" | "oft_R.weight" => {
            Some(Along::Same)
        }
        "lora_B.weight"
        | "lora_B"
        | "lora_magnitude_vector"
        | "hada_w1_a"
        | "hada_w2_a"
        | "weight"
        | "bias"
        | "base_layer.bias" => Some(Along::Rows),
        "ia3_l" if shape.get(1) == Some(&1) => Some(Along::Rows),
        _ => None,
    }
}

/// Divides the tensors of layers in parts and names the parts in the configuration.
///
/// # Errors
///
/// [`MethodError::NotInHfPeft`] with the first layer whose adapter cannot be divided.
pub(in crate::hf_peft) fn split(
    config: &mut Map<String, Value>,
    found: Vec<TrainedTensor>,
) -> Result<Vec<TrainedTensor>, MethodError> {
    let mut layers = BTreeSet::new();
    let mut divided = Vec::new();
    for tensor in found {
        let Some((layer, own)) = in_parts(&tensor.path) else {
            divided.push(tensor);
            continue;
        };
        let path = tensor.path.clone();
        let parts = parts(&path);
        let fails = |why: &str| MethodError::NotInHfPeft {
            reason: format!("`{layer}` is {} layers, {why}", parts.len()),
        };
        // Each would start from the decomposition of its own weight.
        if config
            .get("init_lora_weights")
            .is_some_and(Value::is_string)
        {
            return Err(fails("whose changed bases would differ from this one's"));
        }
        let Some(along) = along(&own, &tensor.shape) else {
            let kind = config.get("peft_type").and_then(Value::as_str);
            let kind = kind.unwrap_or_default();
            return Err(fails(&format!("among which its {kind} cannot be divided")));
        };
        layers.insert(layer.clone());
        let (shape, values) = floats(tensor)?;
        let whole = Matrix::of(&shape, values);
        for (part, rows) in parts.iter().zip(ranges(&parts, whole.rows)) {
            let (own, count) = match along {
                Along::Rows => (whole.rows_in(rows.clone()), rows.len()),
                Along::Same => (whole.clone(), whole.rows),
            };
            let Some(name) = &part.name else { continue };
            let mut shape = shape.clone();
            if let Some(first) = shape.first_mut() {
                *first = count;
            }
            divided.push(TrainedTensor {
                path: name.clone().into_owned(),
                shape,
                values: Values::Floats(own.values.into()),
            });
        }
    }
    for layer in &layers {
        let layer = Layer::new(layer);
        config.values_mut().for_each(|value| layer.rename(value));
    }
    Ok(divided)
}

/// The layer of a tensor in parts, with braces, and the tensor's name in it.
fn in_parts(path: &str) -> Option<(String, String)> {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let (before, own) = path.split_once("}.")?;
    before
        .contains('{')
        .then(|| (format!("{before}}}"), own.to_owned()))
}

/// The names of a layer in parts.
struct Layer {
    whole: String,
    /// As a regular expression writes it.
    escaped: String,
    parts: Vec<String>,
}

impl Layer {
    fn new(whole: &str) -> Self {
        let names = parts(whole).into_iter().filter_map(|part| part.name);
        Self {
            whole: whole.to_owned(),
            escaped: regex::escape(whole),
            parts: names.map(std::borrow::Cow::into_owned).collect(),
        }
    }

    /// Names the parts in a setting: a list of names, a table by patterns, or an expression.
    fn rename(&self, value: &mut Value) {
        let escaped = || self.parts.iter().map(|part| regex::escape(part));
        match value {
            Value::Array(names) => {
                let count = names.len();
                names.retain(|name| name.as_str() != Some(&self.whole));
                if names.len() < count {
                    names.extend(self.parts.iter().cloned().map(Value::String));
                }
            }
            Value::Object(table) => {
                let is_ours = |key: &&String| key.contains(&self.escaped);
                let keys: Vec<String> = table.keys().filter(is_ours).cloned().collect();
                for key in keys {
                    let Some(value) = table.remove(&key) else {
                        continue;
                    };
                    for part in escaped() {
                        table.insert(key.replace(&self.escaped, &part), value.clone());
                    }
                }
            }
            Value::String(text) if text.contains(&self.escaped) => {
                let any: Vec<String> = escaped().collect();
                *text = text.replace(&self.escaped, &format!("(?:{})", any.join("|")));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tensor(path: &str, shape: &[usize], values: &[f32]) -> TrainedTensor {
        TrainedTensor {
            path: format!("{PREFIX}{path}"),
            shape: shape.to_vec(),
            values: Values::Floats(values.to_vec().into()),
        }
    }

    #[test]
    fn rows_are_divided_and_inputs_repeated() {
        let found = vec![
            tensor("fc.lora_A.weight", &[1, 1], &[9.0]),
            tensor("0.{q,v}.lora_A.weight", &[1, 2], &[1.0, 2.0]),
            tensor("0.{q,v}.lora_B.weight", &[4, 1], &[3.0, 4.0, 5.0, 6.0]),
        ];
        let mut config = json!({
            "target_modules": ["fc", "0.{q,v}"],
            "feedforward_modules": r"^(fc|0\.\{q,v\})$",
            "rank_pattern": { r"^0\.\{q,v\}": 1 },
        });
        let config = config.as_object_mut().unwrap();
        let divided = split(config, found).unwrap();
        let wanted = [
            tensor("fc.lora_A.weight", &[1, 1], &[9.0]),
            tensor("0.q.lora_A.weight", &[1, 2], &[1.0, 2.0]),
            tensor("0.v.lora_A.weight", &[1, 2], &[1.0, 2.0]),
            tensor("0.q.lora_B.weight", &[2, 1], &[3.0, 4.0]),
            tensor("0.v.lora_B.weight", &[2, 1], &[5.0, 6.0]),
        ];
        assert_eq!(divided, wanted);
        assert_eq!(config["target_modules"], json!(["fc", "0.q", "0.v"]));
        assert_eq!(config["feedforward_modules"], r"^(fc|(?:0\.q|0\.v))$");
        assert_eq!(config["rank_pattern"], json!({ r"^0\.q": 1, r"^0\.v": 1 }));
    }

    #[test]
    fn what_cannot_be_divided_is_rejected() {
        let entries = vec![tensor("0.{q,v}.shira_weight", &[3], &[0.0; 3])];
        let mut config = json!({ "peft_type": "SHIRA" });
        let error = split(config.as_object_mut().unwrap(), entries).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`0.{q,v}` is 2 layers, among which its SHIRA cannot be divided"),
            "{error}"
        );
    }
}
