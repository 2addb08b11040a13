//! The tensors of a module in the layout of PyTorch.
//!
//! The weights of Linear layers are `[out, in]` in PyTorch and `[in, out]` in Burn, and the `gamma` and
//! `beta` of normalisations are called `weight` and `bias`. Apart from that, a `Dialect` says what a
//! library calls the tensors.

use std::borrow::Cow;
use std::collections::HashMap;

use super::parts::parts;
use crate::error::ModelError;
use crate::networks::classifier::in_sequence;
use crate::networks::{Architecture, Dialect};
use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, TensorData};
use finetune_methods::{Floats, ParamInfo, parameters_lazily};

/// The path of the position embedding of transformers.
pub(super) const POSITIONS: &str = "pos_embed";

/// The path of their class token.
pub(super) const CLASS_TOKEN: &str = "cls_token";

/// A tensor of a module as an entry of a state dict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    /// Its identity in the module.
    pub id: ParamId,
    /// Its path in Burn's names, except that normalisations have `weight` and `bias`, and that the layers of
    /// a head with a hidden layer have numbers.
    pub path: String,
    /// Its shape in PyTorch.
    pub shape: Vec<usize>,
    /// Whether the layout in PyTorch is the transpose of that in Burn.
    pub transposed: bool,
}

/// The slots of a module in the order of its fields, without adapters. Its head is at `head`.
pub(crate) fn slots<M: Module>(module: &M, head: &str) -> Vec<Slot> {
    parameters_lazily(module)
        .into_iter()
        .filter(|param| param.owner != "Adapter")
        .map(|param| slot(param, head))
        .collect()
}

fn slot(param: ParamInfo, head: &str) -> Slot {
    let ParamInfo {
        path,
        id,
        mut shape,
        owner,
        ..
    } = param;
    let transposed = owner == "Linear" && shape.len() == 2;
    if transposed {
        shape.reverse();
    }
    let path = match path.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => in_sequence(&path, head),
    };
    Slot {
        id,
        path,
        shape,
        transposed,
    }
}

/// The names and shapes of the tensors of an architecture in files of a library, with `classes` outputs;
/// without a library, of the [first](crate::networks::Spec::libraries). Nothing is allocated for values.
///
/// # Errors
///
/// [`ModelError::UnknownLibrary`] if its names for the architecture are not known.
pub fn tensors_of(
    architecture: &Architecture,
    library: Option<&str>,
    classes: usize,
) -> Result<Vec<(String, Vec<usize>)>, ModelError> {
    let dialect = architecture.dialect(library)?;
    let network = architecture.uninitialized(classes, &Device::flex());
    let mut tensors = Vec::new();
    for slot in slots(&network, architecture.head) {
        let mut shape = slot.shape;
        (dialect.shape)(&slot.path, &mut shape);
        if dialect.class_position && slot.path == POSITIONS {
            shape[1] += 1;
        }
        let name = (dialect.name)(&slot.path);
        for (name, shape) in divided(&name, &shape) {
            tensors.extend(name.map(|name| (name, shape)));
        }
    }
    Ok(tensors)
}

/// The parts of a tensor: their names, except for zeros that are not stored, and shapes.
fn divided(name: &str, shape: &[usize]) -> Vec<(Option<String>, Vec<usize>)> {
    let parts = parts(name);
    let shares: usize = parts.iter().map(|part| part.shares).sum();
    let divided = parts.into_iter().map(|part| {
        let mut shape = shape.to_vec();
        if let Some(rows) = shape.first_mut().filter(|_| shares > 1) {
            *rows = *rows / shares * part.shares;
        }
        (part.name.map(Cow::into_owned), shape)
    });
    divided.collect()
}

/// One tensor of a state dict: `f32` values in PyTorch's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct StateTensor {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Floats,
}

/// Reads the tensors of a module in the names of a library. Attached adapters are merged.
pub(crate) fn collect<M: Module>(module: &M, head: &str, dialect: Dialect) -> Vec<StateTensor> {
    let mut collect = Collect {
        slots: slots(module, head)
            .into_iter()
            .map(|slot| (slot.id, slot))
            .collect(),
        dialect,
        found: Vec::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect {
    slots: HashMap<ParamId, Slot>,
    dialect: Dialect,
    found: Vec<StateTensor>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(slot) = self.slots.get(&param.id) else {
            return;
        };
        let mut tensor = param.val();
        if slot.transposed {
            tensor = tensor.swap_dims(0, 1);
        }
        let name = (self.dialect.name)(&slot.path);
        let mut shape = slot.shape.clone();
        (self.dialect.shape)(&slot.path, &mut shape);
        if self.dialect.class_position && slot.path == POSITIONS {
            let values = Floats::of(tensor).into_vec();
            let values = [vec![0.0; shape[2]], values].concat().into();
            shape[1] += 1;
            self.found.push(StateTensor {
                name,
                shape,
                values,
            });
            return;
        }
        let values = Floats::of(tensor);
        let mut parts = divided(&name, &shape);
        if let [(Some(name), shape)] = &mut parts[..] {
            let (name, shape) = (std::mem::take(name), std::mem::take(shape));
            self.found.push(StateTensor {
                name,
                shape,
                values,
            });
            return;
        }
        // Parts that are zeros in the library are left out: it computes without them.
        let mut values = values.into_vec().into_iter();
        for (name, shape) in parts {
            let own: Vec<f32> = values.by_ref().take(shape.iter().product()).collect();
            self.found.extend(name.map(|name| StateTensor {
                name,
                shape,
                values: own.into(),
            }));
        }
    }
}

/// Replaces the values of parameters by others in Burn's layout.
pub(crate) fn apply<M: Module>(module: M, values: HashMap<ParamId, Vec<f32>>) -> M {
    module.map(&mut Apply { values })
}

struct Apply {
    values: HashMap<ParamId, Vec<f32>>,
}

impl ModuleMapper for Apply {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&param.id) else {
            return param;
        };
        let data = TensorData::new(values, param.lazy_shape());
        let tensor = Tensor::from_data(data, &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}
