//! Trained tensors as safetensors files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use finetune_files::{quoted, shortened, visible};
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};

use super::trained::{TrainedTensor, Values};
use crate::error::MethodError;

/// Returns the bytes of a safetensors file with the given tensors and metadata.
///
/// # Errors
///
/// [`MethodError::Bytes`] if two tensors have the same name.
pub fn to_safetensors(
    tensors: &[TrainedTensor],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, MethodError> {
    safetensors::serialize(views(tensors), header(metadata)).map_err(|error| failed(&error))
}

/// Writes the same file tensor by tensor, without holding it in memory.
///
/// # Errors
///
/// [`MethodError::Bytes`] if two tensors have the same name or the file cannot be written.
pub fn write_safetensors(
    tensors: &[TrainedTensor],
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<(), MethodError> {
    safetensors::serialize_to_file(views(tensors), header(metadata), path)
        .map_err(|error| failed(&error))
}

fn views(tensors: &[TrainedTensor]) -> impl Iterator<Item = (&str, Stored<'_>)> {
    tensors
        .iter()
        .map(|tensor| (tensor.path.as_str(), Stored(tensor)))
}

fn header(metadata: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect())
}

/// Returns the tensors of a safetensors file in the order of their names, floating-point numbers as
/// `f32`.
///
/// # Errors
///
/// [`MethodError::Bytes`] if it is not a safetensors file, or has tensors of another type than
/// floating-point numbers and positions.
pub fn from_safetensors(bytes: &[u8]) -> Result<Vec<TrainedTensor>, MethodError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| failed(&error))?;
    let mut tensors: Vec<_> = file
        .iter()
        .map(|(name, view)| {
            Ok(TrainedTensor {
                path: name.to_owned(),
                shape: view.shape().to_vec(),
                values: values(name, &view)?,
            })
        })
        .collect::<Result<_, MethodError>>()?;
    tensors.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tensors)
}

fn values(name: &str, view: &TensorView<'_>) -> Result<Values, MethodError> {
    let data = view.data();
    let place = |value: i64| {
        u32::try_from(value).map_err(|_| failed(&format!("{} has the place {value}", quoted(name))))
    };
    Ok(match view.dtype() {
        Dtype::F32 => Values::Floats(each(data, f32::from_le_bytes).into()),
        Dtype::F16 => Values::Floats(each(data, |bytes| f16::from_le_bytes(bytes).to_f32()).into()),
        Dtype::BF16 => {
            Values::Floats(each(data, |bytes| bf16::from_le_bytes(bytes).to_f32()).into())
        }
        #[allow(clippy::cast_possible_truncation)]
        Dtype::F64 => Values::Floats(each(data, |bytes| f64::from_le_bytes(bytes) as f32).into()),
        Dtype::U32 => Values::Indices(each(data, u32::from_le_bytes)),
        Dtype::I32 => Values::Indices(
            each(data, i32::from_le_bytes)
                .into_iter()
                .map(|value| place(value.into()))
                .collect::<Result<_, _>>()?,
        ),
        Dtype::I64 => Values::Indices(
            each(data, i64::from_le_bytes)
                .into_iter()
                .map(place)
                .collect::<Result<_, _>>()?,
        ),
        other => return Err(failed(&format!("{} is of {other:?}", quoted(name)))),
    })
}

fn each<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>()
        .0
        .iter()
        .map(|bytes| read(*bytes))
        .collect()
}

fn failed(reason: &dyn std::fmt::Display) -> MethodError {
    MethodError::Bytes {
        reason: visible(&shortened(&reason.to_string(), 300)).into_owned(),
    }
}

struct Stored<'a>(&'a TrainedTensor);

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.values {
            Values::Floats(_) => Dtype::F32,
            // PyTorch supports few operations on unsigned integers.
            Values::Indices(_) => Dtype::I32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &self.0.values {
            Values::Floats(values) => values.to_le_bytes(),
            Values::Indices(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                bytes.collect::<Vec<u8>>().into()
            }
        }
    }

    fn data_len(&self) -> usize {
        self.0.values.len() * 4
    }
}
