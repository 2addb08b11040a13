//! What a method trained, without its base: read from a model, and loaded into one.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Int, TensorData};
use finetune_files::quoted;
use finetune_kernels::Floats;

use crate::error::MethodError;
use crate::inspect::paths::{ADAPTER, MASK, PathStack, follow_paths};
use crate::inspect::{ParamInfo, parameters};

/// A tensor with its path and entries.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedTensor {
    /// Path in the model. A masked tensor is two: `PATH.values` and `PATH.indices`.
    pub path: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its entries, row by row.
    pub values: Values,
}

/// Entries of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Numbers.
    Floats(Floats),
    /// Positions in another tensor, counted row by row.
    Indices(Vec<u32>),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Indices(values) => values.len(),
        }
    }
}

/// Every tensor of a model that its method changes: adapters, head, biases, statistics and what it knows of
/// the training images.
///
/// Of a masked tensor, only the entries where the mask is 1. Frozen tensors are left out, a frozen
/// shared projection included: the base and the method's seed determine them.
#[must_use]
pub fn trained<M: Module>(model: &M) -> Vec<TrainedTensor> {
    settle(model);
    let mut collect = Collect {
        plan: parameters(model).into_iter(),
        stack: PathStack::default(),
        found: Vec::new(),
    };
    model.visit(&mut collect);
    collect.found
}

/// Brings running statistics up to date: Burn holds back what a forward pass adds to them until the
/// model is converted for inference.
pub(crate) fn settle<M: Module>(model: &M) {
    drop(model.valid());
}

/// Loads what was trained into a model that the same method is attached to.
///
/// # Errors
///
/// [`MethodError::OtherBase`] with the first tensor that `tensors` lack, that has another shape, or
/// that the model lacks.
pub fn load<M: Module>(model: M, tensors: Vec<TrainedTensor>) -> Result<M, MethodError> {
    let mut given: HashMap<String, TrainedTensor> = tensors
        .into_iter()
        .map(|tensor| (tensor.path.clone(), tensor))
        .collect();
    let mut take = |path: &str, shape: Option<&[usize]>, any_length: bool| {
        let tensor = given.remove(path).ok_or_else(|| MethodError::OtherBase {
            difference: format!("it lacks `{path}`"),
        })?;
        let fits = shape.is_none_or(|shape| {
            let same = |from: usize| shape.get(from..) == tensor.shape.get(from..);
            let has_values = !any_length || tensor.values.len() > 0;
            let is_shape = same(usize::from(any_length));
            shape.len() == tensor.shape.len() && is_shape && has_values
        });
        if !fits || tensor.shape.iter().product::<usize>() != tensor.values.len() {
            return Err(MethodError::OtherBase {
                difference: format!(
                    "`{path}` is of shape {:?}, not {:?}",
                    tensor.shape,
                    shape.unwrap_or_default()
                ),
            });
        }
        Ok(tensor.values)
    };
    let listed = parameters(&model);
    let mut new = HashMap::new();
    for (i, param) in listed.iter().enumerate() {
        if !param.changes {
            continue;
        }
        let Some(mask) = listed.get(i + 1).filter(|next| is_mask_of(next, param)) else {
            let values = take(&param.path, Some(&param.shape), param.is_index())?;
            new.insert(param.path.clone(), values);
            continue;
        };
        let kept = take(&format!("{}.values", param.path), None, false)?;
        let indices = take(&format!("{}.indices", param.path), None, false)?;
        let size = param.shape.iter().product();
        let wrong = || MethodError::OtherBase {
            difference: format!("the indices of `{}` do not fit", param.path),
        };
        let (Values::Floats(kept), Values::Indices(indices)) = (kept, indices) else {
            return Err(wrong());
        };
        let (mut values, mut on) = (vec![0.0; size], vec![0.0; size]);
        if kept.len() != indices.len() {
            return Err(wrong());
        }
        for (index, value) in indices.iter().zip(kept.iter()) {
            let index = *index as usize;
            *values.get_mut(index).ok_or_else(wrong)? = *value;
            on[index] = 1.0;
        }
        new.insert(param.path.clone(), Values::Floats(values.into()));
        new.insert(mask.path.clone(), Values::Floats(on.into()));
    }
    for path in index_paths(&model) {
        let values = take(&path, None, false)?;
        new.insert(path, values);
    }
    if let Some(path) = given.keys().min() {
        return Err(MethodError::OtherBase {
            difference: format!("it has {}, which the model has not", quoted(path)),
        });
    }
    Ok(put(model, new))
}

/// Replaces the values of a model's tensors, by path.
pub(crate) fn put<M: Module>(model: M, values: HashMap<String, Values>) -> M {
    model.map(&mut Put {
        stack: PathStack::default(),
        values,
    })
}

fn is_mask_of(mask: &ParamInfo, param: &ParamInfo) -> bool {
    mask.path.strip_suffix(MASK) == Some(&param.path)
}

/// Paths of the integer tensors in a model's adapters.
fn index_paths<M: Module>(model: &M) -> Vec<String> {
    let tensors = trained(model).into_iter();
    tensors
        .filter(|tensor| {
            matches!(tensor.values, Values::Indices(_)) && !tensor.path.ends_with(".indices")
        })
        .map(|tensor| tensor.path)
        .collect()
}

/// Visits the parameters in the order in which they were listed.
struct Collect {
    plan: std::vec::IntoIter<ParamInfo>,
    stack: PathStack,
    found: Vec<TrainedTensor>,
}

impl ModuleVisitor for Collect {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(info) = self.plan.next() else { return };
        let masks_last = self
            .found
            .last()
            .is_some_and(|last| info.path.strip_suffix(MASK) == Some(&last.path));
        if !info.changes && !masks_last {
            return;
        }
        let values = Floats::of(param.base());
        if !masks_last {
            self.found.push(TrainedTensor {
                path: info.path,
                shape: info.shape,
                values: Values::Floats(values),
            });
            return;
        }
        // The tensor before this mask is the masked one: keep the entries where the mask is 1.
        let Some(TrainedTensor {
            path,
            values: Values::Floats(dense),
            ..
        }) = self.found.pop()
        else {
            return;
        };
        let active: Vec<usize> = (0..values.len()).filter(|i| values[*i] != 0.0).collect();
        let shape = vec![active.len()];
        self.found.push(TrainedTensor {
            path: format!("{path}.values"),
            shape: shape.clone(),
            values: Values::Floats(active.iter().map(|index| dense[*index]).collect()),
        });
        let places = active.iter().filter_map(|index| u32::try_from(*index).ok());
        self.found.push(TrainedTensor {
            path: format!("{path}.indices"),
            shape,
            values: Values::Indices(places.collect()),
        });
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let path = self.stack.path();
        if !path.contains(ADAPTER) {
            return;
        }
        let values = param.val().into_data();
        let places = values.iter::<i64>();
        self.found.push(TrainedTensor {
            path,
            shape: param.lazy_shape().to_vec(),
            values: Values::Indices(places.filter_map(|place| place.try_into().ok()).collect()),
        });
    }
}

struct Put {
    stack: PathStack,
    values: HashMap<String, Values>,
}

impl ModuleMapper for Put {
    follow_paths!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(Values::Floats(values)) = self.values.remove(&self.stack.path()) else {
            return param;
        };
        let mut shape = param.lazy_shape().to_vec();
        let rest: usize = shape.iter().skip(1).product();
        // An index has as many rows as there are images.
        if let (Some(rows), Some(given)) = (shape.first_mut(), values.len().checked_div(rest)) {
            *rows = given;
        }
        let data = TensorData::new(values.into_vec(), shape);
        let tensor = Tensor::from_data(data, &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let Some(Values::Indices(values)) = self.values.remove(&self.stack.path()) else {
            return param;
        };
        let device = param.val().device();
        let count = values.len();
        let values: Vec<i64> = values.into_iter().map(i64::from).collect();
        // An adapter's indices are a list, so there is one axis.
        let data = TensorData::new(values, vec![count; D]);
        Param::initialized(param.id, Tensor::from_data(data, &device))
    }
}
