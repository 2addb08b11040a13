//! From PEFT's files onto a model.

use std::collections::{BTreeMap, HashMap, HashSet};

use burn::Tensor;
use burn::module::{Module, ModuleDisplay, Param, ParamGroup, ParamId};
use burn::nn::DropoutConfig;
use burn::tensor::{Device, Int, TensorData};

use super::settings::{Kind, parse, refused};
use super::write::refuse_dilation;
use super::{Names, PREFIX, PeftAdapter};
use crate::adapters::start;
use crate::adapters::{
    Adapter, Geometry, Hadamard, Kronecker, LowRank, Scale, Sparse, WeightShape,
};
use crate::attach::{Attached, Method, Ready, attach_adapters};
use crate::catalogue::Dynamics;
use crate::catalogue::{Ia3Config, LoraConfig, LoraInit};
use crate::error::MethodError;
use crate::inspect::{Layer, ParamInfo, layers, parameters};
use crate::state::{Matrix, floats};
use crate::state::{TrainedTensor, Values, put};

pub(super) fn import<M: Module + ModuleDisplay>(
    file: PeftAdapter,
    model: M,
    names: Names<'_>,
) -> Result<(Attached<M>, Method), MethodError> {
    let kind = parse(&file.config)?;
    let listed = parameters(&model);
    let mut trained = crate::attach::head_ids(&listed, names.head)?;
    let device = model.devices().into_iter().next().unwrap_or_default();
    let mut file = File::new(file.tensors);
    let shared = match kind {
        Kind::Vera(_) => Some(file.shared_factors(&device)?),
        _ => None,
    };
    let all = layers(&model);
    let mut made = HashMap::new();
    let (mut on_inputs, mut ranks) = (Vec::new(), Vec::new());
    for layer in &all {
        let Ok(name) = names.layer(&layer.path) else {
            continue;
        };
        let mut own = Own {
            file: &mut file,
            name: &name,
            layer,
            device: &device,
        };
        let adapter = match &kind {
            Kind::Lora(config) => own.lora(config)?,
            Kind::Adalora(config) => own.adalora(config)?,
            Kind::Vera(config) => match &shared {
                Some(shared) => own.vera(shared, config.dropout)?,
                None => None,
            },
            Kind::Ia3(feedforward) => {
                let inputs = feedforward.matches(&name);
                let adapter = own.ia3(inputs)?;
                if inputs && adapter.is_some() {
                    on_inputs.push(regex::escape(&layer.path));
                }
                adapter
            }
            Kind::Loha(config) => own.loha(config.alpha / float(config.rank))?,
            Kind::Lokr(config) => own.lokr(config.alpha / float(config.rank))?,
            Kind::Shira(_) => own.shira()?,
        };
        if let Some(adapter) = adapter {
            if let Adapter::LowRank(low_rank) = &adapter {
                ranks.push((layer.path.clone(), low_rank.geometry));
            }
            made.insert(layer.weight, adapter);
        }
    }
    if made.is_empty() {
        return Err(MethodError::OtherBase {
            difference: "none of its adapters is on a layer of the model".to_owned(),
        });
    }

    let (values, ids) = file.whole(&listed, names)?;
    trained.extend(ids);
    file.finish()?;

    let moved = listed
        .iter()
        .any(|param| param.buffer && values.contains_key(&param.path));
    let selected: Vec<&Layer> = all
        .iter()
        .filter(|layer| made.contains_key(&layer.weight))
        .collect();
    let mut maker = Ready {
        made,
        init: match &kind {
            Kind::Lora(config) => config.init,
            _ => LoraInit::Kaiming,
        },
    };
    let model = attach_adapters(model.freeze(), &selected, &mut maker);
    let mut model = put(model, values).unfreeze_group(ParamGroup::from_ids(trained));
    if moved {
        model = crate::inspect::adapt(model);
    }
    let method = method(kind, &ranks, &on_inputs);
    let attached = Attached {
        model,
        dynamics: Dynamics::of(&method, 0),
        faster: None,
        head: names.head.to_owned(),
    };
    Ok((attached, method))
}

/// The method that goes on with such adapters.
fn method(kind: Kind, ranks: &[(String, Geometry)], on_inputs: &[String]) -> Method {
    match kind {
        Kind::Lora(config) => Method::Lora(config.with_ranks(ranks)),
        Kind::Adalora(config) => Method::Adalora(config),
        Kind::Vera(config) => Method::Vera(config),
        Kind::Ia3(_) => Method::Ia3(Ia3Config {
            feedforward: (!on_inputs.is_empty())
                .then(|| format!(r"^({})\.weight$", on_inputs.join("|"))),
        }),
        Kind::Loha(config) => Method::Loha(config),
        Kind::Lokr(config) => Method::Lokr(config),
        Kind::Shira(config) => Method::Shira(config),
    }
}

/// The tensors of a file that are not used yet.
struct File {
    tensors: BTreeMap<String, TrainedTensor>,
}

impl File {
    fn new(tensors: Vec<TrainedTensor>) -> Self {
        // Where biases train, PEFT also writes the head a second time, and as it was.
        let twice =
            |path: &str| path.contains(".original_module.") || path.contains(".modules_to_save.");
        Self {
            tensors: tensors
                .into_iter()
                .filter(|tensor| {
                    !twice(&tensor.path) && !tensor.path.ends_with("num_batches_tracked")
                })
                .map(|tensor| (tensor.path.clone(), tensor))
                .collect(),
        }
    }

    fn take(&mut self, name: &str) -> Option<TrainedTensor> {
        self.tensors.remove(&format!("{PREFIX}{name}"))
    }

    /// `VeRA`'s `A` and `B`, frozen.
    fn shared_factors(&mut self, device: &Device) -> Result<[Param<Tensor<2>>; 2], MethodError> {
        let mut factor = |name: &str| {
            let tensor = self.tensors.remove(name).ok_or_else(|| {
                refused(format!(
                    "`save_projection` was off: the file lacks `{name}`"
                ))
            })?;
            let (shape, values) = floats(tensor)?;
            let matrix = Matrix::of(&shape, values);
            Ok(param2(matrix, device).set_require_grad(false))
        };
        Ok([factor("base_model.vera_A")?, factor("base_model.vera_B")?])
    }

    /// The head, biases, and whatever else was saved whole: values by path, and identities.
    fn whole(
        &mut self,
        listed: &[ParamInfo],
        names: Names<'_>,
    ) -> Result<(HashMap<String, Values>, Vec<ParamId>), MethodError> {
        let (mut values, mut ids) = (HashMap::new(), Vec::new());
        for param in listed {
            let name = names.of(&param.path);
            let based = name
                .rsplit_once('.')
                .map(|(layer, own)| format!("{layer}.base_layer.{own}"));
            let Some(tensor) = [Some(name), based]
                .into_iter()
                .flatten()
                .find_map(|name| self.take(&name))
            else {
                continue;
            };
            let (shape, mut numbers) = floats(tensor)?;
            let transposed = param.owner == "Linear" && param.shape.len() == 2;
            let mut here = param.shape.clone();
            if transposed {
                here.reverse();
            }
            if shape != here {
                return Err(MethodError::OtherBase {
                    difference: format!(
                        "its `{}` is of shape {shape:?}, the model's of {here:?}",
                        names.of(&param.path)
                    ),
                });
            }
            if transposed {
                numbers = Matrix::of(&shape, numbers).transposed().values;
            }
            values.insert(param.path.clone(), Values::Floats(numbers.into()));
            ids.push(param.id);
        }
        Ok((values, ids))
    }

    fn finish(self) -> Result<(), MethodError> {
        match self.tensors.into_keys().next() {
            None => Ok(()),
            Some(path) => Err(MethodError::OtherBase {
                difference: format!("it has `{path}`, which the model has no place for"),
            }),
        }
    }
}

/// The part of a file that belongs to one layer.
struct Own<'a> {
    file: &'a mut File,
    name: &'a str,
    layer: &'a Layer,
    device: &'a Device,
}

impl Own<'_> {
    /// A tensor of `rows` rows, the rest flattened to `columns`; `None` for any number.
    fn matrix(
        &mut self,
        name: &str,
        rows: Option<usize>,
        columns: Option<usize>,
    ) -> Result<Option<Matrix>, MethodError> {
        let name = format!("{}.{name}", self.name);
        let Some(tensor) = self.file.take(&name) else {
            return Ok(None);
        };
        let (shape, values) = floats(tensor)?;
        let matrix = Matrix::of(&shape, values);
        let fits = |wanted: Option<usize>, found| wanted.is_none_or(|wanted| wanted == found);
        if fits(rows, matrix.rows) && fits(columns, matrix.columns) {
            return Ok(Some(matrix));
        }
        let wanted = |size: Option<usize>| size.map_or("any".to_owned(), |size| size.to_string());
        Err(MethodError::OtherBase {
            difference: format!(
                "its `{name}` is of shape {shape:?}, where the model's layer wants {} × {}",
                wanted(rows),
                wanted(columns)
            ),
        })
    }

    /// The second of two tensors that come together.
    fn second(&self, found: Option<Matrix>, name: &str) -> Result<Matrix, MethodError> {
        found.ok_or_else(|| MethodError::OtherBase {
            difference: format!("it lacks `{PREFIX}{}.{name}`", self.name),
        })
    }

    fn numbers(
        &mut self,
        name: &str,
        count: usize,
    ) -> Result<Option<Param<Tensor<1>>>, MethodError> {
        let tensor = self.file.take(&format!("{}.{name}", self.name));
        let Some(tensor) = tensor else {
            return Ok(None);
        };
        let (shape, values) = floats(tensor)?;
        if values.len() != count {
            return Err(MethodError::OtherBase {
                difference: format!(
                    "its `{}.{name}` is of shape {shape:?}, where the model's layer wants {count} numbers",
                    self.name
                ),
            });
        }
        Ok(Some(start::param(values, [count], self.device)))
    }

    fn lora(&mut self, config: &LoraConfig) -> Result<Option<Adapter>, MethodError> {
        let shape = self.layer.shape;
        let groups = shape.groups;
        let Some(a) = self.matrix("lora_A.weight", None, Some(groups * shape.inputs))? else {
            return Ok(None);
        };
        refuse_dilation(self.layer)?;
        let rows = a.rows;
        if !rows.is_multiple_of(groups) {
            return Err(MethodError::OtherBase {
                difference: format!(
                    "its rank {rows} on `{}` is no multiple of the layer's {groups} groups",
                    self.name
                ),
            });
        }
        let b = self.matrix("lora_B.weight", Some(shape.outputs), Some(rows / groups))?;
        let b = self.second(b, "lora_B.weight")?;
        let a = if groups == 1 {
            a
        } else {
            a.blocks(groups).ok_or_else(|| {
                refused(format!(
                    "`{}`: PEFT's LoRA of this grouped convolution mixes its groups, which no change of \
                     its weight can do",
                    self.name
                ))
            })?
        };
        let mut magnitude = None;
        if config.dora {
            for name in ["lora_magnitude_vector", "lora_magnitude_vector.weight"] {
                magnitude = magnitude.or(self.numbers(name, shape.outputs)?);
            }
        }
        let named = Layer {
            path: self.name.to_owned(),
            ..self.layer.clone()
        };
        let scale = config.scale(&named, rows);
        Ok(Some(Adapter::LowRank(LowRank {
            lora_a: param2(a, self.device),
            lora_b: Some(param2(b, self.device)),
            magnitude,
            ..self.plain(rows / groups, scale, config.dropout)
        })))
    }

    /// Factors to be filled in.
    fn plain(&self, rank: usize, scale: f64, dropout: f64) -> LowRank {
        LowRank {
            lora_a: start::full(0.0, [1, 1], self.device),
            lora_b: None,
            lora_b_mask: None,
            inner: None,
            outer: None,
            magnitude: None,
            base_square: None,
            dropout: DropoutConfig::new(dropout).init(),
            geometry: Geometry {
                weight: self.layer.shape,
                rank,
                scale,
                shared: false,
                divisor: 1.0,
                dense_gradient: false,
            },
        }
    }

    fn adalora(
        &mut self,
        config: &crate::catalogue::AdaloraConfig,
    ) -> Result<Option<Adapter>, MethodError> {
        let WeightShape {
            outputs,
            inputs,
            groups,
            ..
        } = self.layer.shape;
        if groups > 1 {
            return Ok(None);
        }
        let Some(a) = self.matrix("lora_A", None, Some(inputs))? else {
            return Ok(None);
        };
        let rank = a.rows;
        let b = self.matrix("lora_B", Some(outputs), Some(rank))?;
        let b = self.second(b, "lora_B")?;
        let inner = self.matrix("lora_E", Some(rank), Some(1))?;
        let inner = self.second(inner, "lora_E")?;
        let scale = config.alpha / (float(config.rank) + 1e-5);
        Ok(Some(Adapter::LowRank(LowRank {
            lora_a: param2(a, self.device),
            lora_b: Some(param2(b, self.device)),
            inner: Some(start::param(inner.values, [rank], self.device)),
            ..self.plain(rank, scale, config.dropout)
        })))
    }

    fn vera(
        &mut self,
        [a, b]: &[Param<Tensor<2>>; 2],
        dropout: f64,
    ) -> Result<Option<Adapter>, MethodError> {
        let shape = self.layer.shape;
        let [rank, widest] = a.dims();
        let Some(d) = self.numbers("vera_lambda_d", rank)? else {
            return Ok(None);
        };
        let outer = self.numbers("vera_lambda_b", shape.outputs)?;
        if shape.inputs > widest || shape.outputs > b.dims()[0] || outer.is_none() {
            return Err(MethodError::OtherBase {
                difference: format!("its shared factors are too small for `{}`", self.name),
            });
        }
        let mut adapter = self.plain(rank, 1.0, dropout);
        adapter.geometry.shared = true;
        Ok(Some(Adapter::LowRank(LowRank {
            lora_a: a.clone(),
            lora_b: Some(b.clone()),
            inner: Some(d),
            outer,
            ..adapter
        })))
    }

    fn ia3(&mut self, inputs: bool) -> Result<Option<Adapter>, MethodError> {
        let shape = self.layer.shape;
        let area = shape.kernel.map_or(1, |[height, width]| height * width);
        let count = if inputs {
            shape.groups * shape.inputs / area
        } else {
            shape.outputs
        };
        let Some(factor) = self.numbers("ia3_l", count)? else {
            return Ok(None);
        };
        let (on_inputs, on_outputs) = if inputs {
            (Some(factor), None)
        } else {
            (None, Some(factor))
        };
        Ok(Some(Adapter::Scale(Scale {
            on_inputs,
            on_outputs,
            shift: None,
            shape,
        })))
    }

    fn loha(&mut self, scale: f64) -> Result<Option<Adapter>, MethodError> {
        let shape = self.layer.shape;
        let (outputs, inputs) = (Some(shape.outputs), Some(shape.inputs));
        let Some(first) = self.matrix("hada_w1_a", outputs, None)? else {
            return Ok(None);
        };
        let mut next = |name: &str, rows, columns| {
            let found = self.matrix(name, rows, columns)?;
            Ok(param2(self.second(found, name)?, self.device))
        };
        Ok(Some(Adapter::Hadamard(Hadamard {
            hada_w1_b: next("hada_w1_b", Some(first.columns), inputs)?,
            hada_w2_a: next("hada_w2_a", outputs, Some(first.columns))?,
            hada_w2_b: next("hada_w2_b", Some(first.columns), inputs)?,
            hada_w1_a: param2(first, self.device),
            scale,
            shape,
        })))
    }

    fn lokr(&mut self, scale: f64) -> Result<Option<Adapter>, MethodError> {
        let shape = self.layer.shape;
        let mut sizes = HashMap::new();
        let mut next = |name: &'static str| {
            let found = self.matrix(name, None, None)?;
            Ok(found.map(|matrix| {
                sizes.insert(name, (matrix.rows, matrix.columns));
                param2(matrix, self.device)
            }))
        };
        let adapter = Kronecker {
            lokr_w1: next("lokr_w1")?,
            lokr_w1_a: next("lokr_w1_a")?,
            lokr_w1_b: next("lokr_w1_b")?,
            lokr_w2: next("lokr_w2")?,
            lokr_w2_a: next("lokr_w2_a")?,
            lokr_w2_b: next("lokr_w2_b")?,
            scale,
            shape,
        };
        if sizes.is_empty() {
            return Ok(None);
        }
        // A factor is whole, or two whose inner sizes agree.
        let factor = |whole, left, right| {
            sizes.get(whole).copied().or_else(|| {
                let ((rows, inner), (other, columns)) = (sizes.get(left)?, sizes.get(right)?);
                (inner == other).then_some((*rows, *columns))
            })
        };
        match (
            factor("lokr_w1", "lokr_w1_a", "lokr_w1_b"),
            factor("lokr_w2", "lokr_w2_a", "lokr_w2_b"),
        ) {
            (Some((a, c)), Some((b, d))) if a * b == shape.outputs && c * d == shape.inputs => {
                Ok(Some(Adapter::Kronecker(adapter)))
            }
            _ => Err(MethodError::OtherBase {
                difference: format!(
                    "its LoKr factors of `{}` do not make its {} × {} weight",
                    self.name, shape.outputs, shape.inputs
                ),
            }),
        }
    }

    fn shira(&mut self) -> Result<Option<Adapter>, MethodError> {
        let shape = self.layer.shape;
        let Some(indices) = self.file.take(&format!("{}.shira_indices", self.name)) else {
            return Ok(None);
        };
        let name = self.name;
        let wrong = || MethodError::OtherBase {
            difference: format!("its `{name}.shira_indices` do not fit the layer"),
        };
        let Values::Indices(places) = indices.values else {
            return Err(wrong());
        };
        let (rows, columns) = places.split_at(places.len() / 2);
        let count = rows.len();
        let fits = |(row, column): (&u32, &u32)| {
            let (row, column) = (*row as usize, *column as usize);
            (row < shape.outputs && column < shape.inputs)
                .then(|| i64::try_from(row * shape.inputs + column).ok())
                .flatten()
        };
        let flat: Option<Vec<i64>> = rows.iter().zip(columns).map(fits).collect();
        let flat = flat.filter(|flat| indices.shape.first() == Some(&2) && flat.len() == count);
        let flat = flat.ok_or_else(wrong)?;
        let distinct: HashSet<_> = flat.iter().collect();
        if distinct.len() != count {
            return Err(wrong());
        }
        let values = self.numbers("shira_weight", count)?;
        let places = Tensor::<1, Int>::from_data(TensorData::new(flat, [count]), self.device);
        Ok(Some(Adapter::Sparse(Sparse {
            shira_weight: values.ok_or_else(wrong)?,
            shira_indices: Param::initialized(ParamId::new(), places),
            shape,
        })))
    }
}

fn param2(matrix: Matrix, device: &Device) -> Param<Tensor<2>> {
    start::param(matrix.values, [matrix.rows, matrix.columns], device)
}

#[allow(clippy::cast_precision_loss)]
fn float(count: usize) -> f64 {
    count as f64
}
