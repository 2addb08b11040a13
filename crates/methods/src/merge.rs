//! Merging adapters into plain layers.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};

use crate::adapters::Scale;
use crate::catalogue::Adapter;
use crate::error::MethodError;
use crate::inspect::paths::{ADAPTER, PathStack, follow_paths};

/// Returns a model of plain layers that computes the same as `model` with its adapters.
///
/// `model` itself does not change and shares the tensors that no adapter changes. To undo the merge
/// exactly, keep it.
///
/// # Errors
///
/// [`MethodError::Unmergeable`] if an adapter is not a change of weights and biases, and
/// [`MethodError::NotFinite`] if a merged weight is not finite.
pub fn merge<M: Module>(model: &M) -> Result<M, MethodError> {
    let mut reader = Reader::default();
    model.visit(&mut reader);
    if let Some(path) = reader.unmergeable {
        return Err(MethodError::Unmergeable { path });
    }
    let merged = model.clone().materialize().map(&mut Biases {
        stack: PathStack::default(),
        scales: reader.scales,
    });
    let mut check = Check {
        stack: PathStack::default(),
        adapted: reader.adapted,
        broken: None,
    };
    merged.visit(&mut check);
    match check.broken {
        Some(path) => Err(MethodError::NotFinite { path }),
        None => Ok(merged),
    }
}

/// What a scale does to a layer's bias.
#[derive(Default)]
struct Bias {
    factor: Option<Tensor<1>>,
    shift: Option<Tensor<1>>,
}

/// Collects what merging must know of the adapters.
#[derive(Default)]
struct Reader {
    stack: PathStack,
    adapted: Vec<String>,
    scales: HashMap<String, Bias>,
    unmergeable: Option<String>,
}

impl ModuleVisitor for Reader {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.stack.path();
        let Some((weight, _)) = path.split_once(ADAPTER) else {
            return;
        };
        if self.adapted.last().is_none_or(|last| last != weight) {
            self.adapted.push(weight.to_owned());
        }
        let layer = weight.strip_suffix(".weight").unwrap_or(weight);
        let count = param.lazy_shape().num_elements();
        let values = || param.val().detach().reshape([count]);
        if let Some(variant) = self.stack.variant("Adapter")
            && !Adapter::variant_merges(variant)
        {
            self.unmergeable = Some(layer.to_owned());
        }
        match self.stack.field() {
            Scale::ON_OUTPUTS => {
                self.scales.entry(layer.to_owned()).or_default().factor = Some(values());
            }
            Scale::SHIFT => {
                self.scales.entry(layer.to_owned()).or_default().shift = Some(values());
            }
            _ => {}
        }
    }
}

struct Biases {
    stack: PathStack,
    scales: HashMap<String, Bias>,
}

impl ModuleMapper for Biases {
    follow_paths!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.stack.path();
        let Some(Bias { factor, shift }) = path
            .strip_suffix(".bias")
            .and_then(|layer| self.scales.remove(layer))
        else {
            return param;
        };
        param.map(|bias| {
            let trained = bias.is_require_grad();
            let shape = bias.dims();
            let mut bias = bias.detach();
            if let Some(factor) = factor {
                bias = bias * factor.reshape(shape);
            }
            if let Some(shift) = shift {
                bias = bias + shift.reshape(shape);
            }
            bias.set_require_grad(trained)
        })
    }
}

struct Check {
    stack: PathStack,
    adapted: Vec<String>,
    broken: Option<String>,
}

impl ModuleVisitor for Check {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.stack.path();
        if self.broken.is_some() || !self.adapted.contains(&path) {
            return;
        }
        // A value that is not finite makes the sum not finite.
        let sum = param.base().abs().sum().into_data().iter::<f32>().next();
        if !sum.is_some_and(f32::is_finite) {
            self.broken = Some(path);
        }
    }
}
