//! A network as ONNX, with what its users must know in the file's metadata.

use std::collections::BTreeMap;

use finetune_data::{Filter, Fit};
use finetune_model::{Architecture, Network};
use finetune_onnx::{Description, Normalization, export};

use crate::error::Error;
use crate::weights::Metadata;

/// What an exported ONNX graph takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnnxInput {
    /// What the model takes: normalised values.
    #[default]
    Normalized,
    /// Pixel values from 0 to 255, which the graph normalises.
    Pixels,
}

/// The bytes of an ONNX file.
///
/// # Errors
///
/// The network cannot be written as ONNX, or is too large.
pub(super) fn onnx(
    network: &Network,
    architecture: &Architecture,
    metadata: &Metadata,
    input: OnnxInput,
) -> Result<Vec<u8>, Error> {
    let side = architecture.image_size;
    let normalization = metadata.normalization;
    let description = Description {
        name: metadata.model.clone(),
        image: [3, side, side],
        producer: ["finetune", env!("CARGO_PKG_VERSION")].map(str::to_owned),
        metadata: properties(metadata, input)?,
        normalization: match input {
            OnnxInput::Normalized => None,
            OnnxInput::Pixels => Some(Normalization {
                mean: normalization.mean.to_vec(),
                std: normalization.std.to_vec(),
            }),
        },
    };
    Ok(export(network, Network::forward, &description)?)
}

/// The metadata under keys of its own, for programs that do not know this one, and as one value like that
/// of a safetensors file.
fn properties(metadata: &Metadata, input: OnnxInput) -> Result<BTreeMap<String, String>, Error> {
    let Metadata {
        model,
        method,
        classes,
        image_size,
        normalization,
        filter,
        fit,
        crop,
        base,
    } = metadata;
    let interpolation = match filter {
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
    };
    let fit = match fit {
        Fit::Crop => "crop",
        Fit::Squash => "squash",
        Fit::Pad => "pad",
    };
    let takes = match input {
        OnnxInput::Normalized => "(RGB / 255 - mean) / std",
        OnnxInput::Pixels => "RGB from 0 to 255",
    };
    let own = [
        ("model", model.clone()),
        ("method", method.clone()),
        ("classes", serde_json::to_string(classes)?),
        ("input", takes.to_owned()),
        ("image_size", image_size.to_string()),
        ("mean", serde_json::to_string(&normalization.mean)?),
        ("std", serde_json::to_string(&normalization.std)?),
        ("interpolation", interpolation.to_owned()),
        ("fit", fit.to_owned()),
        ("crop", crop.to_string()),
        (
            "resizing",
            "not in the graph: resize with antialiasing, as Pillow does".to_owned(),
        ),
    ];
    let mut all = metadata.to_map()?;
    let base = base
        .iter()
        .map(|base| ("base_model_name_or_path", base.clone()));
    let own = own.into_iter().chain(base);
    all.extend(own.map(|(key, value)| (key.to_owned(), value)));
    Ok(all)
}
