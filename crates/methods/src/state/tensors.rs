//! The tensors of a model's adapters, layer by layer.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Int;
use finetune_kernels::Floats;

use crate::inspect::{ADAPTER, Layer, ParamInfo, PathStack, follow_paths};
use crate::state::Matrix;
use crate::state::{TrainedTensor, Values};

/// `A` `[groups · rank, inputs]` and `B` `[outputs, rank]` of a layer; no `B` is the identity.
pub(crate) struct Factors {
    pub(crate) a: Matrix,
    pub(crate) b: Option<Matrix>,
}

/// Tensors of adapters, and those of the model that training changes, by path.
#[derive(Clone)]
pub(crate) struct Tensors(HashMap<String, TrainedTensor>);

impl Tensors {
    pub(crate) fn read<M: Module>(model: &M, parameters: &[ParamInfo]) -> Self {
        let mut read = Read {
            plan: parameters.iter(),
            stack: PathStack::default(),
            found: HashMap::new(),
        };
        model.visit(&mut read);
        Self(read.found)
    }

    pub(crate) fn has_adapter(&self, layer: &Layer) -> bool {
        let prefix = format!("{}.weight{ADAPTER}", layer.path);
        self.0.keys().any(|path| path.starts_with(&prefix))
    }

    /// A tensor of the model itself.
    pub(crate) fn get(&self, path: &str) -> Option<&TrainedTensor> {
        self.0.get(path)
    }

    fn tensor(&self, layer: &Layer, name: &str) -> Option<&TrainedTensor> {
        self.0.get(&format!("{}.weight{ADAPTER}{name}", layer.path))
    }

    pub(crate) fn matrix(&self, layer: &Layer, name: &str) -> Option<Matrix> {
        let tensor = self.tensor(layer, name)?;
        match &tensor.values {
            Values::Floats(values) => Some(Matrix::of(&tensor.shape, values.to_vec())),
            Values::Indices(_) => None,
        }
    }

    pub(crate) fn indices(&self, layer: &Layer, name: &str) -> Option<Vec<u32>> {
        match &self.tensor(layer, name)?.values {
            Values::Indices(places) => Some(places.clone()),
            Values::Floats(_) => None,
        }
    }

    /// A layer's own part of its factors, masked.
    pub(crate) fn low_rank(&self, layer: &Layer) -> Option<Factors> {
        let shape = layer.shape;
        let a = self.matrix(layer, "lora_a")?;
        let b = self.matrix(layer, "lora_b").map(|b| {
            let b = match self.matrix(layer, "lora_b_mask") {
                Some(mask) => b.map(|row, column, value| value * mask.row(row)[column]),
                None => b,
            };
            b.corner(shape.outputs, b.columns)
        });
        // Shared factors are as wide as the widest layer, and have the rows of one group.
        let a = a.corner(a.rows, shape.inputs);
        let rank = b
            .as_ref()
            .map_or(shape.outputs / shape.groups, |b| b.columns);
        let a = if a.rows == rank * shape.groups {
            a
        } else {
            a.repeated(shape.groups)
        };
        Some(Factors { a, b })
    }
}

struct Read<'a> {
    plan: std::slice::Iter<'a, ParamInfo>,
    stack: PathStack,
    found: HashMap<String, TrainedTensor>,
}

impl ModuleVisitor for Read<'_> {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(info) = self.plan.next() else { return };
        // A normalisation goes whole where its statistics moved.
        if !(info.in_adapter() || info.changes || info.owner == "BatchNorm") {
            return;
        }
        let tensor = TrainedTensor {
            path: info.path.clone(),
            shape: info.shape.clone(),
            values: Values::Floats(Floats::of(param.base())),
        };
        self.found.insert(info.path.clone(), tensor);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let path = self.stack.path();
        if !path.contains(ADAPTER) {
            return;
        }
        let values = param.val().into_data();
        let places = values.iter::<i64>();
        let tensor = TrainedTensor {
            path: path.clone(),
            shape: param.lazy_shape().to_vec(),
            values: Values::Indices(places.filter_map(|place| place.try_into().ok()).collect()),
        };
        self.found.insert(path, tensor);
    }
}
