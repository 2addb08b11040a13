//! From a model to PEFT's files.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleDisplay};
use serde_json::{Map, Value, json};

use super::{Names, PREFIX, PeftAdapter};
use crate::attach::Method;
use crate::catalogue::{Bias, LoraConfig, LoraInit};
use crate::error::MethodError;
use crate::inspect::is_under;
use crate::inspect::{Layer, LayerKind, ParamInfo, layers, parameters};
use crate::state::Matrix;
use crate::state::{Factors, Tensors};
use crate::state::{TrainedTensor, Values, settle};

pub(super) fn export<M: Module + ModuleDisplay>(
    model: &M,
    method: &Method,
    names: Names<'_>,
) -> Result<PeftAdapter, MethodError> {
    settle(model);
    let parameters = parameters(model);
    let tensors = Tensors::read(model, &parameters);
    let mut adapted = layers(model);
    adapted.retain(|layer| tensors.has_adapter(layer));
    let mut export = Export {
        names,
        tensors,
        layers: Vec::new(),
        config: Map::new(),
        found: Vec::new(),
    };
    for layer in adapted {
        let name = names.layer(&layer.path)?;
        export.layers.push((name, layer));
    }
    match method {
        Method::Lora(config) => export.lora(config)?,
        Method::Peft(config) => {
            export.as_lora(config.rank, false, |layer, factors| {
                let divisor = config.divisor(layer);
                factors.a = factors.a.clone().map(|_, _, value| value / divisor);
                config.scale()
            })?;
            export.insert(json!({ "lora_dropout": config.dropout }));
        }
        Method::Vera(config) => export.vera(config)?,
        Method::Adalora(config) => export.adalora(config)?,
        Method::Shira(config) => export.shira(config.rank)?,
        Method::Ia3(_) => export.ia3(),
        Method::Loha(config) => {
            export.insert(json!({ "peft_type": "LOHA", "r": config.rank, "alpha": config.alpha }));
            export.copy(&["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"]);
        }
        Method::Lokr(config) => {
            let factor = config
                .decompose_factor
                .map_or(-1, |factor| i64::try_from(factor).unwrap_or(i64::MAX));
            export.insert(json!({
                "peft_type": "LOKR",
                "r": config.rank,
                "alpha": config.alpha,
                "decompose_both": config.decompose_both,
                "decompose_factor": factor,
            }));
            export.copy(&[
                "lokr_w1",
                "lokr_w1_a",
                "lokr_w1_b",
                "lokr_w2",
                "lokr_w2_a",
                "lokr_w2_b",
            ]);
        }
        other => {
            return Err(MethodError::NotInPeft {
                reason: format!("{} has no type in PEFT", other.name()),
            });
        }
    }
    export.targets(model);
    export.rest(&parameters);
    export.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(PeftAdapter {
        config: export.config,
        tensors: export.found,
    })
}

struct Export<'a> {
    names: Names<'a>,
    tensors: Tensors,
    /// The adapted layers and their names in PyTorch.
    layers: Vec<(String, Layer)>,
    config: Map<String, Value>,
    found: Vec<TrainedTensor>,
}

impl Export<'_> {
    fn insert(&mut self, settings: Value) {
        if let Value::Object(settings) = settings {
            self.config.extend(settings);
        }
    }

    fn put(&mut self, layer: &str, name: &str, matrix: Matrix, shape: Vec<usize>) {
        let path = format!("{PREFIX}{layer}.{name}");
        self.found.push(matrix.into_tensor(path, shape));
    }

    /// Tensors that PEFT calls and shapes as here, but for a convolution's whole `LoKr` factor.
    fn copy(&mut self, tensors: &[&str]) {
        for (name, layer) in self.layers.clone() {
            for tensor in tensors {
                let Some(matrix) = self.tensors.matrix(&layer, tensor) else {
                    continue;
                };
                let mut shape = vec![matrix.rows, matrix.columns];
                if let (&"lokr_w2", Some([height, width])) = (tensor, layer.shape.kernel) {
                    shape = vec![
                        matrix.rows,
                        matrix.columns / (height * width),
                        height,
                        width,
                    ];
                }
                self.put(&name, tensor, matrix, shape);
            }
        }
    }

    fn lora(&mut self, config: &LoraConfig) -> Result<(), MethodError> {
        for (_, layer) in &self.layers {
            let LayerKind::Conv2d { groups, .. } = layer.kind else {
                continue;
            };
            if config.dora && groups > 1 {
                return Err(not_in_peft(layer, "PEFT's DoRA knows no groups"));
            }
            if config.init != LoraInit::Kaiming {
                return Err(not_in_peft(
                    layer,
                    "PEFT starts convolutions in its ordinary way only, so the base would differ",
                ));
            }
        }
        self.as_lora(config.rank, config.rslora, |layer, _| {
            config.scale(layer, config.rank_of(layer).0)
        })?;
        let initial = match config.init {
            LoraInit::Kaiming => json!(true),
            LoraInit::Pissa => json!("pissa"),
            LoraInit::Olora => json!("olora"),
        };
        let bias = match config.bias {
            Bias::None => "none",
            Bias::All => "all",
            Bias::LoraOnly => "lora_only",
        };
        self.insert(json!({
            "lora_dropout": config.dropout,
            "use_dora": config.dora,
            "init_lora_weights": initial,
            "bias": bias,
        }));
        for (name, layer) in self.layers.clone() {
            let Some(magnitude) = self.tensors.matrix(&layer, "magnitude") else {
                continue;
            };
            let outputs = layer.shape.outputs;
            let shape = match layer.kind {
                LayerKind::Linear => vec![outputs],
                LayerKind::Conv2d { .. } => vec![1, outputs, 1, 1],
            };
            self.put(&name, "lora_magnitude_vector", magnitude, shape);
        }
        Ok(())
    }

    /// Every layer's factors as PEFT's `LoRA`; `scale` may change them, and gives the factor `s`.
    #[allow(clippy::cast_precision_loss)]
    fn as_lora(
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
            refuse_dilation(&layer)?;
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
            // A rank and alpha of its own where it is not the usual.
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

    fn vera(&mut self, config: &crate::catalogue::VeraConfig) -> Result<(), MethodError> {
        let tensors = self.tensors.clone();
        let vectors = |layer: &Layer| {
            let of = |name| tensors.matrix(layer, name).map(|vector| vector.values);
            (
                of("inner").unwrap_or_default(),
                of("outer").unwrap_or_default(),
            )
        };
        if self
            .layers
            .iter()
            .any(|(_, layer)| layer.kind != LayerKind::Linear)
        {
            self.as_lora(config.rank, false, |layer, factors| {
                let (d, b) = vectors(layer);
                factors.a = factors.a.clone().scale_rows(&d);
                factors.b = factors.b.take().map(|matrix| matrix.scale_rows(&b));
                1.0
            })?;
            self.insert(json!({ "lora_dropout": config.dropout }));
            return Ok(());
        }
        for (name, layer) in self.layers.clone() {
            let (d, b) = vectors(&layer);
            let (ranks, outputs) = (d.len(), b.len());
            self.put(&name, "vera_lambda_d", Matrix::of(&[ranks], d), vec![ranks]);
            self.put(
                &name,
                "vera_lambda_b",
                Matrix::of(&[outputs], b),
                vec![outputs],
            );
        }
        if let Some((_, layer)) = self.layers.first().cloned() {
            for (tensor, name) in [("lora_a", "vera_A"), ("lora_b", "vera_B")] {
                if let Some(matrix) = self.tensors.matrix(&layer, tensor) {
                    let shape = vec![matrix.rows, matrix.columns];
                    self.found
                        .push(matrix.into_tensor(format!("base_model.{name}"), shape));
                }
            }
        }
        self.insert(json!({
            "peft_type": "VERA",
            "r": config.rank,
            "d_initial": config.d_initial,
            "vera_dropout": config.dropout,
            "save_projection": true,
            "bias": "none",
            "fan_in_fan_out": false,
        }));
        Ok(())
    }

    fn adalora(&mut self, config: &crate::catalogue::AdaloraConfig) -> Result<(), MethodError> {
        for (name, layer) in self.layers.clone() {
            if layer.shape.groups > 1 {
                return Err(not_in_peft(&layer, "PEFT's AdaLoRA knows no groups"));
            }
            let tensor = |name| self.tensors.matrix(&layer, name);
            let (Some(q), Some(p), Some(lambda)) =
                (tensor("lora_a"), tensor("lora_b"), tensor("inner"))
            else {
                continue;
            };
            // PEFT gives every layer the same rank: what a small one lacks is 0.
            let rank = config.rank;
            let padded = |matrix: &Matrix| {
                let mut matrix = matrix.clone();
                matrix.values.resize(rank * matrix.columns, 0.0);
                Matrix {
                    rows: rank,
                    ..matrix
                }
            };
            let q = padded(&q);
            let p = padded(&p.transposed()).transposed();
            let lambda = padded(&Matrix::of(&[lambda.values.len(), 1], lambda.values));
            let (inputs, outputs) = (q.columns, p.rows);
            self.put(&name, "lora_A", q, vec![rank, inputs]);
            self.put(&name, "lora_B", p, vec![outputs, rank]);
            self.put(&name, "lora_E", lambda, vec![rank, 1]);
        }
        self.insert(json!({
            "peft_type": "ADALORA",
            "init_r": config.rank,
            "target_r": config.target_rank,
            "lora_alpha": config.alpha,
            "lora_dropout": config.dropout,
            "beta1": config.beta1,
            "beta2": config.beta2,
            "deltaT": config.interval,
            "orth_reg_weight": config.orthogonality,
            // PEFT asks for a schedule even where none is left to run.
            "total_step": 1,
            "tinit": 0,
            "tfinal": 0,
            "bias": "none",
            "fan_in_fan_out": false,
        }));
        Ok(())
    }

    fn shira(&mut self, rank: usize) -> Result<(), MethodError> {
        for (name, layer) in self.layers.clone() {
            if layer.kind != LayerKind::Linear {
                return Err(not_in_peft(&layer, "PEFT's SHiRA knows Linear layers only"));
            }
            let (inputs, outputs) = (layer.shape.inputs, layer.shape.outputs);
            if rank * (inputs + outputs) > inputs * outputs {
                return Err(not_in_peft(
                    &layer,
                    "PEFT's SHiRA wants more entries of it than it has; lower the rank",
                ));
            }
            let (Some(values), Some(places)) = (
                self.tensors.matrix(&layer, "shira_weight"),
                self.tensors.indices(&layer, "shira_indices"),
            ) else {
                continue;
            };
            let count = places.len();
            self.put(&name, "shira_weight", values, vec![count]);
            let width = u32::try_from(inputs).unwrap_or(u32::MAX);
            let rows = places.iter().map(|place| place / width);
            let columns = places.iter().map(|place| place % width);
            self.found.push(TrainedTensor {
                path: format!("{PREFIX}{name}.shira_indices"),
                shape: vec![2, count],
                values: Values::Indices(rows.chain(columns).collect()),
            });
        }
        self.insert(json!({
            "peft_type": "SHIRA",
            "r": rank,
            "mask_type": "random",
            "fan_in_fan_out": false,
        }));
        Ok(())
    }

    fn ia3(&mut self) {
        let mut on_inputs = Vec::new();
        for (name, layer) in self.layers.clone() {
            let inputs = self.tensors.matrix(&layer, "on_inputs");
            let is_input = inputs.is_some();
            let Some(factors) = inputs.or_else(|| self.tensors.matrix(&layer, "on_outputs")) else {
                continue;
            };
            let count = factors.values.len();
            let shape = match layer.kind {
                LayerKind::Conv2d { .. } => vec![1, count, 1, 1],
                LayerKind::Linear if is_input => vec![1, count],
                LayerKind::Linear => vec![count, 1],
            };
            self.put(&name, "ia3_l", factors, shape);
            if is_input {
                on_inputs.push(name);
            }
        }
        let feedforward = if on_inputs.is_empty() {
            json!([])
        } else {
            json!(any_of(&on_inputs))
        };
        self.insert(json!({
            "peft_type": "IA3",
            "feedforward_modules": feedforward,
            "fan_in_fan_out": false,
        }));
    }

    /// What PEFT is to put the adapters on: names where they mean these layers only, a regular
    /// expression otherwise.
    fn targets<M: Module + ModuleDisplay>(&mut self, model: &M) {
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
        // (IA)³'s feed-forward layers are an expression, and PEFT wants both of one kind.
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

    /// The head, trained biases, and layers that train whole or whose statistics moved.
    fn rest(&mut self, parameters: &[ParamInfo]) {
        // More than a bias: the whole layer goes.
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
            if param.owner == "Linear" && shape.len() == 2 {
                values = Matrix::of(&shape, values).transposed().values;
                shape.reverse();
            }
            let mut name = self.names.of(&param.path);
            // Torch counts a normalisation's batches, and PEFT asks for the count.
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
    /// `A` as PEFT keeps it: over all channels of a convolution, whatever its groups.
    fn block_diagonal_of(&self, layer: &Layer) -> Self {
        match layer.shape.groups {
            1 => self.clone(),
            groups => self.block_diagonal(groups),
        }
    }
}

fn any_of(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| regex::escape(name)).collect();
    format!("^({})$", names.join("|"))
}

fn not_in_peft(layer: &Layer, reason: &str) -> MethodError {
    MethodError::NotInPeft {
        reason: format!("`{}`: {reason}", layer.path),
    }
}

/// PEFT's `LoRA` convolves without the layer's dilation.
pub(super) fn refuse_dilation(layer: &Layer) -> Result<(), MethodError> {
    match layer.kind {
        LayerKind::Conv2d {
            kernel, dilation, ..
        } if dilation != [1, 1] && kernel != [1, 1] => Err(not_in_peft(
            layer,
            "PEFT's LoRA drops a convolution's dilation",
        )),
        _ => Ok(()),
    }
}
