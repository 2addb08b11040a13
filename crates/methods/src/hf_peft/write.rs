//! Writing HF PEFT's files: what all methods have in common.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleDisplay};
use serde_json::{Map, Value, json};

use super::names::{Names, PREFIX};
use crate::error::MethodError;
use crate::inspect::paths::Field;
use crate::inspect::paths::burn_names::LINEAR;
use crate::inspect::{Layer, LayerKind, ParamInfo, is_under, layers};
use crate::state::{Factors, Matrix, Tensors, TrainedTensor, Values};

/// The two files of an adapter while they are written.
pub(crate) struct Writer<'a> {
    names: Names<'a>,
    /// The model's tensors.
    pub(crate) tensors: Tensors,
    /// The adapted layers and their names in `PyTorch`.
    pub(crate) layers: Vec<(String, Layer)>,
    pub(super) config: Map<String, Value>,
    pub(super) found: Vec<TrainedTensor>,
}

impl<'a> Writer<'a> {
    /// A writer for a model with the given parameters.
    pub(super) fn new<M: Module + ModuleDisplay>(
        model: &M,
        parameters: &[ParamInfo],
        names: Names<'a>,
    ) -> Result<Self, MethodError> {
        let tensors = Tensors::read(model, parameters);
        let mut adapted = layers(model);
        adapted.retain(|layer| tensors.has_adapter(layer));
        let mut writer = Self {
            names,
            tensors,
            layers: Vec::new(),
            config: Map::new(),
            found: Vec::new(),
        };
        for layer in adapted {
            let name = names.layer(&layer.path)?;
            reject_in_attention((&name, &layer), parameters, names)?;
            writer.layers.push((name, layer));
        }
        Ok(writer)
    }

    /// Adds settings to `adapter_config.json`.
    pub(crate) fn insert(&mut self, settings: Value) {
        if let Value::Object(settings) = settings {
            self.config.extend(settings);
        }
    }

    /// Adds a layer's tensor.
    pub(crate) fn put(&mut self, layer: &str, name: &str, matrix: Matrix, shape: Vec<usize>) {
        let path = format!("{PREFIX}{layer}.{name}");
        self.found.push(matrix.into_tensor(path, shape));
    }

    /// Adds a layer's integer tensor.
    pub(crate) fn put_indices(
        &mut self,
        layer: &str,
        name: &str,
        values: Vec<u32>,
        shape: Vec<usize>,
    ) {
        self.found.push(TrainedTensor {
            path: format!("{PREFIX}{layer}.{name}"),
            shape,
            values: Values::Indices(values),
        });
    }

    /// Adds a tensor that all layers share.
    pub(crate) fn put_shared(&mut self, name: &str, matrix: Matrix) {
        let shape = vec![matrix.rows, matrix.columns];
        self.found.push(matrix.into_tensor(name.to_owned(), shape));
    }

    /// Adds every layer's tensor of a field under another name; `shape` is from a layer to the tensor's
    /// shape in HF PEFT.
    pub(crate) fn copy_as(
        &mut self,
        field: Field<'_>,
        name: &str,
        shape: impl Fn(&Layer) -> Vec<usize>,
    ) {
        for (layer_name, layer) in self.layers.clone() {
            if let Some(matrix) = self.tensors.matrix(&layer, field) {
                self.put(&layer_name, name, matrix, shape(&layer));
            }
        }
    }

    /// Adds tensors that HF PEFT calls the same; `shape` is from a tensor's matrix to its shape in
    /// HF PEFT.
    pub(crate) fn copy(
        &mut self,
        fields: &[Field<'_>],
        shape: impl Fn(&Layer, Field<'_>, &Matrix) -> Vec<usize>,
    ) {
        for (name, layer) in self.layers.clone() {
            for field in fields {
                let Some(matrix) = self.tensors.matrix(&layer, *field) else {
                    continue;
                };
                let shape = shape(&layer, *field, &matrix);
                self.put(&name, field.name, matrix, shape);
            }
        }
    }

    /// Writes every layer's factors as HF PEFT's `LoRA`. `scale` may change a layer's factors and returns
    /// its factor `s`; `usual` is the rank that most layers have.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn as_lora(
        &mut self,
        usual: usize,
        rslora: bool,
        scale: impl Fn(&Layer, &mut Factors) -> f64,
    ) -> Result<(), MethodError> {
        let divisor = |rank: usize| {
            if rslora {
                (rank as f64).sqrt()
            } else {
                rank as f64
            }
        };
        let (mut ranks, mut alphas) = (Map::new(), Map::new());
        let mut usual_alpha = None;
        for (name, layer) in self.layers.clone() {
            reject_dilation(&layer)?;
            let groups = layer.shape.groups;
            let Some(mut factors) = self.tensors.low_rank(&layer) else {
                continue;
            };
            let scale = scale(&layer, &mut factors);
            let Factors { a, b } = factors;
            let rank = a.rows;
            let b = b.unwrap_or_else(|| Matrix::identity(layer.shape.outputs, rank / groups));
            let a = a.block_diagonal_of(&layer);
            let alpha = scale * divisor(rank);
            // A layer whose rank or alpha is not the usual one has a pattern.
            let pattern = format!("^{}", regex::escape(&name));
            if rank != usual {
                ranks.insert(pattern.clone(), json!(rank));
            }
            let first = *usual_alpha.get_or_insert(scale * divisor(usual));
            #[allow(clippy::float_cmp)] // the same product
            if alpha != first {
                alphas.insert(pattern, json!(alpha));
            }
            let (shape_a, shape_b) = match layer.shape.kernel {
                None => (vec![rank, a.columns], vec![b.rows, b.columns]),
                Some([height, width]) => (
                    vec![rank, a.columns / (height * width), height, width],
                    vec![b.rows, b.columns, 1, 1],
                ),
            };
            self.put(&name, "lora_A.weight", a, shape_a);
            self.put(&name, "lora_B.weight", b, shape_b);
        }
        self.insert(json!({
            "peft_type": "LORA",
            "r": usual,
            "lora_alpha": usual_alpha.unwrap_or(usual as f64),
            "rank_pattern": ranks,
            "alpha_pattern": alphas,
            "use_rslora": rslora,
            "use_dora": false,
            "bias": "none",
            "init_lora_weights": true,
            "fan_in_fan_out": false,
        }));
        Ok(())
    }

    /// Writes which layers get adapters: their names if these select no other layer, a regular
    /// expression otherwise.
    pub(super) fn targets<M: Module + ModuleDisplay>(&mut self, model: &M) {
        let all: Vec<String> = layers(model)
            .iter()
            .filter_map(|layer| self.names.layer(&layer.path).ok())
            .collect();
        let targets: Vec<String> = self.layers.iter().map(|(name, _)| name.clone()).collect();
        let means_more = |target: &String| {
            let suffix = format!(".{target}");
            all.iter()
                .any(|name| name.ends_with(&suffix) && !targets.contains(name))
        };
        // If (IA)³'s feed-forward layers are an expression, HF PEFT requires one here as well.
        let expression = self
            .config
            .get("feedforward_modules")
            .is_some_and(Value::is_string);
        let targets = if expression || targets.iter().any(means_more) {
            json!(any_of(&targets))
        } else {
            json!(targets)
        };
        self.insert(json!({
            "target_modules": targets,
            "task_type": null,
            "base_model_name_or_path": null,
            "inference_mode": true,
        }));
    }

    /// Writes the head, trained biases, and layers that train whole or whose statistics changed.
    pub(super) fn rest(&mut self, parameters: &[ParamInfo]) {
        // A layer of which more than the bias changed is saved whole.
        let whole: Vec<&str> = parameters
            .iter()
            .filter(|param| param.changes && !param.is_bias() && !param.in_adapter())
            .filter_map(|param| param.path.rsplit_once('.').map(|(layer, _)| layer))
            .collect();
        let mut saved = BTreeSet::new();
        for param in parameters {
            let layer = param.path.rsplit_once('.').map_or("", |(layer, _)| layer);
            let is_saved = is_under(&param.path, self.names.head) || whole.contains(&layer);
            let Some(tensor) = self.tensors.get(&param.path) else {
                continue;
            };
            if param.in_adapter() || !(is_saved || param.changes) {
                continue;
            }
            let Values::Floats(values) = tensor.values.clone() else {
                continue;
            };
            let (mut shape, mut values) = (param.shape.clone(), values.into_vec());
            if param.owner == LINEAR && shape.len() == 2 {
                values = Matrix::of(&shape, values).transposed().values;
                shape.reverse();
            }
            let mut name = self.names.of(&param.path);
            // PyTorch counts a normalisation's batches, and HF PEFT requires the count.
            if let Some(layer) = name.strip_suffix("running_var").filter(|_| param.buffer) {
                self.found.push(TrainedTensor {
                    path: format!("{PREFIX}{layer}num_batches_tracked"),
                    shape: Vec::new(),
                    values: Values::Indices(vec![0]),
                });
            }
            if is_saved {
                saved.extend(name.rsplit_once('.').map(|(layer, _)| layer.to_owned()));
            } else if self.layers.iter().any(|(_, adapted)| adapted.path == layer) {
                name = match name.rsplit_once('.') {
                    Some((layer, own)) => format!("{layer}.base_layer.{own}"),
                    None => name,
                };
            }
            self.found.push(TrainedTensor {
                path: format!("{PREFIX}{name}"),
                shape,
                values: Values::Floats(values.into()),
            });
        }
        self.insert(json!({ "modules_to_save": saved }));
    }
}

impl Matrix {
    /// `A` as HF PEFT stores it: over all channels of a convolution, whatever its groups.
    fn block_diagonal_of(&self, layer: &Layer) -> Self {
        match layer.shape.groups {
            1 => self.clone(),
            groups => self.block_diagonal(groups),
        }
    }
}

/// A regular expression that matches exactly the given names.
pub(crate) fn any_of(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| regex::escape(name)).collect();
    format!("^({})$", names.join("|"))
}

/// The error of a layer whose adapter HF PEFT cannot represent.
pub(crate) fn not_in_hf_peft(layer: &Layer, reason: &str) -> MethodError {
    MethodError::NotInHfPeft {
        reason: format!("`{}`: {reason}", layer.path),
    }
}

/// Rejects the last layer of an `nn.MultiheadAttention`, which uses the layer's weight without calling the
/// layer.
fn reject_in_attention(
    (name, layer): (&str, &Layer),
    parameters: &[ParamInfo],
    names: Names<'_>,
) -> Result<(), MethodError> {
    let Some(attention) = name.strip_suffix(".out_proj") else {
        return Ok(());
    };
    let first = format!("{attention}.in_proj_weight");
    if parameters
        .iter()
        .any(|param| names.of(&param.path) == first)
    {
        return Err(not_in_hf_peft(
            layer,
            "it is part of an nn.MultiheadAttention, in which HF PEFT's adapter has no effect",
        ));
    }
    Ok(())
}

/// Rejects a dilated convolution: HF PEFT's `LoRA` ignores the layer's dilation.
pub(crate) fn reject_dilation(layer: &Layer) -> Result<(), MethodError> {
    match layer.kind {
        LayerKind::Conv2d {
            kernel, dilation, ..
        } if dilation != [1, 1] && kernel != [1, 1] => Err(not_in_hf_peft(
            layer,
            "HF PEFT's LoRA ignores a convolution's dilation",
        )),
        _ => Ok(()),
    }
}
