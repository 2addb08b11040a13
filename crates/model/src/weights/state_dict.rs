//! The tensors of a module in the layout of PyTorch.
//!
//! The weights of Linear layers are `[out, in]` in PyTorch and `[in, out]` in Burn, and the `gamma` and
//! `beta` of normalisations are called `weight` and `bias`. Apart from that, a `Dialect` says what a
//! library calls the tensors.

use std::collections::HashMap;

use super::parts::parts;
use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::TensorData;
use finetune_methods::{Floats, ParamInfo, parameters_lazily};

use crate::networks::Dialect;

/// A tensor of a module as an entry of a state dict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    /// Its identity in the module.
    pub id: ParamId,
    /// Its path in Burn's names, except that normalisations have `weight` and `bias`.
    pub path: String,
    /// Its shape in PyTorch.
    pub shape: Vec<usize>,
    /// Whether the layout in PyTorch is the transpose of that in Burn.
    pub transposed: bool,
}

/// The slots of a module in the order of its fields, without adapters.
pub(crate) fn slots<M: Module>(module: &M) -> Vec<Slot> {
    parameters_lazily(module)
        .into_iter()
        .filter(|param| param.owner != "Adapter")
        .map(slot)
        .collect()
}

fn slot(param: ParamInfo) -> Slot {
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
        _ => path,
    };
    Slot {
        id,
        path,
        shape,
        transposed,
    }
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

/// Reads the tensors of a module, in a library's names and shapes. Attached adapters are merged.
pub(crate) fn collect<M: Module>(module: &M, dialect: Dialect) -> Vec<StateTensor> {
    let mut collect = Collect {
        slots: slots(module)
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
        let values = Floats::of(tensor);
        let parts = parts(&name);
        if let [Some(name)] = &parts[..] {
            let name = name.clone().into_owned();
            self.found.push(StateTensor {
                name,
                shape,
                values,
            });
            return;
        }
        // Parts that are zeros in the library are left out: they are biases of keys, which change nothing.
        shape[0] /= parts.len();
        let length = shape.iter().product();
        let values = values.into_vec();
        for (name, values) in parts.into_iter().zip(values.chunks(length)) {
            self.found.extend(name.map(|name| StateTensor {
                name: name.into_owned(),
                shape: shape.clone(),
                values: values.to_vec().into(),
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
