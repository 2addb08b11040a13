//! Reading HF PEFT's files: what all methods have in common.

use std::collections::{BTreeMap, HashMap};

use burn::Tensor;
use burn::module::{Param, ParamId};
use burn::tensor::Device;

use super::names::{Names, PREFIX};
use super::settings::rejected;
use crate::adapters::start;
use crate::error::MethodError;
use crate::inspect::paths::burn_names::LINEAR;
use crate::inspect::{Layer, ParamInfo};
use crate::state::{Matrix, TrainedTensor, Values, floats};
use finetune_files::quoted;

/// The tensors of a file that nothing has taken yet.
pub(crate) struct File {
    tensors: BTreeMap<String, TrainedTensor>,
}

impl File {
    pub(super) fn new(tensors: Vec<TrainedTensor>) -> Self {
        // If biases train, HF PEFT also writes the head a second time, and the head before training.
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

    /// Takes a tensor that was saved whole, with its name or with the one that it has under an adapter.
    pub(super) fn take_saved(&mut self, name: &str) -> Option<TrainedTensor> {
        self.take(name).or_else(|| {
            let (layer, own) = name.rsplit_once('.')?;
            self.take(&format!("{layer}.base_layer.{own}"))
        })
    }

    /// Whether it has a tensor of an adapter on the layer.
    pub(super) fn has_adapter(&self, layer: &str) -> bool {
        let prefix = format!("{PREFIX}{layer}.");
        let own = |path: &String| path.strip_prefix(&prefix).map(str::to_owned);
        let after = self.tensors.range(prefix.clone()..);
        let mut own = after.map_while(|(path, _)| own(path));
        own.any(|own| !(own.starts_with("base_layer.") || own == "weight" || own == "bias"))
    }

    /// Adds a layer's tensor.
    pub(super) fn put(&mut self, layer: &str, name: &str, matrix: Matrix) {
        let shape = vec![matrix.rows, matrix.columns];
        self.put_shaped(&format!("{layer}.{name}"), matrix, shape);
    }

    /// Adds a tensor of that shape.
    pub(super) fn put_shaped(&mut self, name: &str, matrix: Matrix, shape: Vec<usize>) {
        let path = format!("{PREFIX}{name}");
        self.tensors
            .insert(path.clone(), matrix.into_tensor(path, shape));
    }

    /// A projection that all layers share, frozen.
    pub(crate) fn shared(
        &mut self,
        name: &str,
        device: &Device,
    ) -> Result<Param<Tensor<2>>, MethodError> {
        let tensor = self.tensors.remove(name).ok_or_else(|| {
            rejected(format!(
                "`save_projection` was off: the file lacks `{name}`"
            ))
        })?;
        let (shape, values) = floats(tensor)?;
        if values.is_empty() {
            return Err(MethodError::OtherBase {
                difference: format!("its `{name}` of shape {shape:?} is empty"),
            });
        }
        Ok(param(Matrix::of(&shape, values), device).set_require_grad(false))
    }

    /// Takes the head, biases and whatever else was saved whole: their values by path, and their
    /// identities.
    pub(super) fn whole(
        &mut self,
        listed: &[ParamInfo],
        names: Names<'_>,
    ) -> Result<(HashMap<String, Values>, Vec<ParamId>), MethodError> {
        let (mut values, mut ids) = (HashMap::new(), Vec::new());
        for param in listed {
            let Some(tensor) = self.take_saved(&names.of(&param.path)) else {
                continue;
            };
            let (shape, mut numbers) = floats(tensor)?;
            let transposed = param.owner == LINEAR && param.shape.len() == 2;
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

    /// Checks that every tensor was taken.
    pub(super) fn finish(self) -> Result<(), MethodError> {
        match self.tensors.into_keys().next() {
            None => Ok(()),
            Some(path) => Err(MethodError::OtherBase {
                difference: format!("it has {}, which the model has no place for", quoted(&path)),
            }),
        }
    }
}

/// The tensors of a file that belong to one layer.
pub(crate) struct LayerTensors<'a> {
    pub(super) file: &'a mut File,
    /// The layer's name in `PyTorch`.
    pub(crate) name: &'a str,
    pub(crate) layer: &'a Layer,
    pub(crate) device: &'a Device,
}

impl LayerTensors<'_> {
    /// Takes a tensor whose first axis has `rows` entries and whose other axes have `columns` together;
    /// `None` stands for any number.
    pub(crate) fn matrix(
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
                "its `{name}` is of shape {shape:?}, but the model's layer needs {} × {}",
                wanted(rows),
                wanted(columns)
            ),
        })
    }

    /// Takes such a tensor that must be there, since another one was.
    pub(crate) fn second(
        &mut self,
        name: &str,
        rows: Option<usize>,
        columns: Option<usize>,
    ) -> Result<Matrix, MethodError> {
        let found = self.matrix(name, rows, columns)?;
        found.ok_or_else(|| self.lacks(name))
    }

    /// The error of a tensor that is not there.
    pub(crate) fn lacks(&self, name: &str) -> MethodError {
        MethodError::OtherBase {
            difference: format!("it lacks `{PREFIX}{}.{name}`", self.name),
        }
    }

    /// Takes a tensor of `count` numbers, whatever its shape.
    pub(crate) fn numbers(
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
                    "its `{}.{name}` is of shape {shape:?}, but the model's layer needs {count} numbers",
                    self.name
                ),
            });
        }
        Ok(Some(start::param(values, [count], self.device)))
    }

    /// Takes a tensor of positions: its shape and values.
    pub(crate) fn indices(&mut self, name: &str) -> Option<(Vec<usize>, Values)> {
        let tensor = self.file.take(&format!("{}.{name}", self.name))?;
        Some((tensor.shape, tensor.values))
    }
}

/// A parameter with a matrix's values.
pub(crate) fn param(matrix: Matrix, device: &Device) -> Param<Tensor<2>> {
    start::param(matrix.values, [matrix.rows, matrix.columns], device)
}
