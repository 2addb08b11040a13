//! The tensors of a model's adapters, by layer and field.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Int;
use finetune_kernels::Floats;

use super::matrix::Matrix;
use super::trained::{TrainedTensor, Values};
use crate::adapters::LowRank;
use crate::inspect::paths::burn_names::BATCH_NORM;
use crate::inspect::paths::{ADAPTER, Field, PathStack, follow_paths};
use crate::inspect::{Layer, ParamInfo};

/// `A` `[groups · rank, inputs]` and `B` `[outputs, rank]` of a layer; `None` is the identity.
pub(crate) struct Factors {
    pub(crate) a: Matrix,
    pub(crate) b: Option<Matrix>,
}

/// The tensors of adapters, those of the model that training changes, and all of its `BatchNorm`s.
#[derive(Clone)]
pub(crate) struct Tensors(HashMap<String, TrainedTensor>);

impl Tensors {
    /// Reads them from a model with the given parameters.
    pub(crate) fn read<M: Module>(model: &M, parameters: &[ParamInfo]) -> Self {
        let mut read = Read {
            plan: parameters.iter(),
            stack: PathStack::default(),
            found: HashMap::new(),
        };
        model.visit(&mut read);
        Self(read.found)
    }

    /// Whether a layer carries an adapter.
    pub(crate) fn has_adapter(&self, layer: &Layer) -> bool {
        let prefix = format!("{}.weight{ADAPTER}", layer.path);
        self.0.keys().any(|path| path.starts_with(&prefix))
    }

    /// A tensor of the model itself.
    pub(crate) fn get(&self, path: &str) -> Option<&TrainedTensor> {
        self.0.get(path)
    }

    fn tensor(&self, layer: &Layer, field: Field<'_>) -> Option<&TrainedTensor> {
        let name = field.name;
        self.0.get(&format!("{}.weight{ADAPTER}{name}", layer.path))
    }

    /// A floating-point tensor of a layer's adapter.
    pub(crate) fn matrix(&self, layer: &Layer, field: Field<'_>) -> Option<Matrix> {
        let tensor = self.tensor(layer, field)?;
        match &tensor.values {
            Values::Floats(values) => Some(Matrix::of(&tensor.shape, values.to_vec())),
            Values::Indices(_) => None,
        }
    }

    /// An integer tensor of a layer's adapter.
    pub(crate) fn indices(&self, layer: &Layer, field: Field<'_>) -> Option<Vec<u32>> {
        match &self.tensor(layer, field)?.values {
            Values::Indices(places) => Some(places.clone()),
            Values::Floats(_) => None,
        }
    }

    /// The part of the factors that the layer uses, with the mask applied.
    pub(crate) fn low_rank(&self, layer: &Layer) -> Option<Factors> {
        let shape = layer.shape;
        let a = self.matrix(layer, LowRank::A)?;
        let b = self.matrix(layer, LowRank::B).map(|b| {
            let b = match self.matrix(layer, LowRank::B_MASK) {
                Some(mask) => b.map(|row, column, value| value * mask.row(row)[column]),
                None => b,
            };
            b.corner(shape.outputs, b.columns)
        });
        // A shared `A` is as wide as the widest layer and has the rows of one group.
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
        // HF PEFT stores a normalisation whole if its statistics changed.
        if !(info.in_adapter() || info.changes || info.owner == BATCH_NORM) {
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
