//! The adapter alone: what was trained, in kilobytes, to be put on the base weights again.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::TensorData;
use finetune_methods::ParamInfo;

use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::networks::Network;
use crate::save::write_safetensors;
use crate::state::StateTensor;

/// Writes every trained tensor of a network, and of a masked one only the entries under the mask
/// (`NAME.values`, and `NAME.indices` into its rows).
///
/// Frozen tensors, the shared projection among them, are not written: they come back from the
/// base weights and the method's seed. Returns the file's size in bytes.
///
/// # Errors
///
/// [`ModelError::Io`] where the file cannot be written.
pub fn save_adapter(
    network: &Network,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64, ModelError> {
    let plan = finetune_methods::parameters(network);
    let mut collect = Collect {
        plan: plan.into_iter(),
        found: Vec::new(),
    };
    network.visit(&mut collect);
    write_safetensors(collect.found, metadata, path)
}

/// Puts a saved adapter's tensors onto a network that the same method was attached to.
///
/// # Errors
///
/// [`ModelError::Mismatch`] where the file lacks a trained tensor of the network, has one of
/// another shape or one that the network has not.
pub fn load_adapter(network: Network, file: &mut Checkpoint) -> Result<Network, ModelError> {
    let parameters = finetune_methods::parameters(&network);
    let mut values = HashMap::new();
    let mut used = 0;
    for (i, param) in parameters.iter().enumerate() {
        if !param.trainable {
            continue;
        }
        let size: usize = param.shape.iter().product();
        let mask = parameters.get(i + 1).filter(|next| is_mask_of(next, param));
        if let Some(mask) = mask {
            let dense = |numbers: &[(usize, f32)]| {
                let mut all = vec![0.0; size];
                for (index, value) in numbers {
                    all[*index] = *value;
                }
                all
            };
            let kept = file.values(&format!("{}.values", param.path))?;
            let indices = file.values(&format!("{}.indices", param.path))?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let indices: Vec<usize> = indices.into_iter().map(|index| index as usize).collect();
            if kept.len() != indices.len() || indices.iter().any(|index| *index >= size) {
                return Err(mismatch(
                    file,
                    format!("the indices of `{}` are wrong", param.path),
                ));
            }
            let pairs: Vec<_> = indices.iter().copied().zip(kept).collect();
            let ones: Vec<_> = indices.into_iter().map(|index| (index, 1.0)).collect();
            values.insert(param.path.clone(), dense(&pairs));
            values.insert(mask.path.clone(), dense(&ones));
            used += 2;
        } else {
            let stored = file.values(&param.path)?;
            if stored.len() != size {
                let details = format!("`{}` has {} values, not {size}", param.path, stored.len());
                return Err(mismatch(file, details));
            }
            values.insert(param.path.clone(), stored);
            used += 1;
        }
    }
    let stored = file.shapes().len();
    if stored != used {
        let details = format!("it has {stored} tensors and the method trains {used}");
        return Err(mismatch(file, details));
    }
    let plan = parameters.into_iter();
    Ok(network.map(&mut Put { plan, values }))
}

fn mismatch(file: &Checkpoint, details: String) -> ModelError {
    ModelError::Mismatch {
        origin: file.origin().to_owned(),
        model: "this adapter".to_owned(),
        details,
    }
}

fn is_mask_of(mask: &ParamInfo, param: &ParamInfo) -> bool {
    mask.path.strip_suffix("_mask") == Some(&param.path)
}

/// Follows the order in which the parameters were listed.
struct Collect {
    plan: std::vec::IntoIter<ParamInfo>,
    found: Vec<StateTensor>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(info) = self.plan.next() else { return };
        let masks_last = self
            .found
            .last()
            .is_some_and(|last| info.path.strip_suffix("_mask") == Some(&last.name));
        if !info.trainable && !masks_last {
            return;
        }
        let values: Vec<f32> = param.base().into_data().iter::<f32>().collect();
        if !masks_last {
            self.found.push(StateTensor {
                name: info.path,
                shape: info.shape,
                values,
            });
            return;
        }
        // The tensor before is the masked one: keep what its mask lets through.
        let Some(dense) = self.found.pop() else {
            return;
        };
        let active: Vec<usize> = values
            .iter()
            .enumerate()
            .filter(|(_, on)| **on != 0.0)
            .map(|(i, _)| i)
            .collect();
        #[allow(clippy::cast_precision_loss)]
        let indices = active.iter().map(|index| *index as f32).collect();
        let shape = vec![active.len()];
        self.found.push(StateTensor {
            name: format!("{}.values", dense.name),
            shape: shape.clone(),
            values: active.iter().map(|index| dense.values[*index]).collect(),
        });
        self.found.push(StateTensor {
            name: format!("{}.indices", dense.name),
            shape,
            values: indices,
        });
    }
}

struct Put {
    plan: std::vec::IntoIter<ParamInfo>,
    values: HashMap<String, Vec<f32>>,
}

impl ModuleMapper for Put {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(info) = self.plan.next() else {
            return param;
        };
        let Some(values) = self.values.remove(&info.path) else {
            return param;
        };
        let data = TensorData::new(values, param.lazy_shape());
        let tensor = Tensor::from_data(data, &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}
