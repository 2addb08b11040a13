//! A module's tensors under PyTorch's names and in PyTorch's layout.
//!
//! Linear weights are `[out, in]` there and `[in, out]` in Burn; `BatchNorm`'s `gamma` and `beta`
//! are `weight` and `bias`.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::TensorData;
use finetune_methods::{ParamInfo, parameters_lazily};

use crate::registry::Architecture;

/// Where a tensor of a module stands in a state dict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    /// Its identity in the module.
    pub id: ParamId,
    /// Its name in PyTorch.
    pub name: String,
    /// Its shape in PyTorch.
    pub shape: Vec<usize>,
    /// Whether the layouts are each other's transpose.
    pub transposed: bool,
}

/// The state dict's slots of a module, adapters left out, in field order.
pub(crate) fn slots<M: Module>(module: &M, architecture: &Architecture) -> Vec<Slot> {
    parameters_lazily(module)
        .into_iter()
        .filter(|param| param.owner != "Adapter")
        .map(|param| slot(param, architecture))
        .collect()
}

fn slot(param: ParamInfo, architecture: &Architecture) -> Slot {
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
    let mut name = match path.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => path,
    };
    for (from, to) in architecture.rename {
        if let Some(rest) = name.strip_prefix(from)
            && rest.starts_with('.')
        {
            name = format!("{to}{rest}");
            break;
        }
    }
    Slot {
        id,
        name,
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
    pub values: Vec<f32>,
}

/// Reads the tensors of the given slots from a module, adapters merged where they are attached.
pub(crate) fn collect<M: Module>(module: &M, slots: &[Slot]) -> Vec<StateTensor> {
    let mut collect = Collect {
        slots: slots.iter().map(|slot| (slot.id, slot)).collect(),
        found: Vec::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect<'a> {
    slots: HashMap<ParamId, &'a Slot>,
    found: Vec<StateTensor>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(slot) = self.slots.get(&param.id) else {
            return;
        };
        let mut tensor = param.val();
        if slot.transposed {
            tensor = tensor.swap_dims(0, 1);
        }
        self.found.push(StateTensor {
            name: slot.name.clone(),
            shape: slot.shape.clone(),
            values: tensor.into_data().iter::<f32>().collect(),
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
