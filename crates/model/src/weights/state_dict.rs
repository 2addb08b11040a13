//! A module's tensors in PyTorch's layout, and under the names its layers have there.
//!
//! Linear weights are `[out, in]` there and `[in, out]` in Burn; a norm's `gamma` and `beta` are
//! `weight` and `bias`. What a library calls the layers themselves, a `Dialect` says.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::TensorData;
use finetune_methods::{Floats, ParamInfo, parameters_lazily};

/// Where a tensor of a module stands in a state dict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    /// Its identity in the module.
    pub id: ParamId,
    /// Its path in Burn's names, with a norm's `weight` and `bias`.
    pub path: String,
    /// Its shape in PyTorch.
    pub shape: Vec<usize>,
    /// Whether the layouts are each other's transpose.
    pub transposed: bool,
}

/// The state dict's slots of a module, adapters left out, in field order.
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

/// Reads a module's tensors, adapters merged where they are attached; `name` says what a slot's
/// path is called.
pub(crate) fn collect<M: Module>(module: &M, name: fn(&str) -> String) -> Vec<StateTensor> {
    let mut collect = Collect {
        slots: slots(module)
            .into_iter()
            .map(|slot| (slot.id, slot))
            .collect(),
        name,
        found: Vec::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect {
    slots: HashMap<ParamId, Slot>,
    name: fn(&str) -> String,
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
        self.found.push(StateTensor {
            name: (self.name)(&slot.path),
            shape: slot.shape.clone(),
            values: Floats::of(tensor),
        });
    }
}

/// Puts values, in Burn's layout, into the parameters of those identities.
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
