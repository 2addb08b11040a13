//! From a module to the bytes of a file.

use std::collections::BTreeMap;

use burn::Tensor;
use burn::backend::ir::{TensorId, TensorIr};
use burn::module::Module;
use burn::tensor::{DType, Shape, TensorData};
use prost::Message;

use crate::capture::capture;
use crate::constants::fold;
use crate::error::OnnxError;
use crate::graph::{Graph, INPUT, OUTPUT, int};
use crate::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto, data_type,
};
use crate::recorded::{BATCHES, Outline, Recorded};
use crate::translate::{needed, translate};

/// The version of ONNX's operators that files use.
pub const OPSET: i64 = 17;

/// The version of the file format: the one of ONNX 1.12, which has [`OPSET`].
pub const IR_VERSION: i64 = 8;

/// The most bytes that a file can have: protobuf's messages are shorter than 2 GiB.
pub const MOST_BYTES: u64 = (1 << 31) - 1;

/// What is said about a module beside what it computes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Description {
    /// The name of the graph.
    pub name: String,
    /// Channels, height and width of the images.
    pub image: [usize; 3],
    /// The program that writes the file, and its version.
    pub producer: [String; 2],
    /// Keys and values for those who use the file.
    pub metadata: BTreeMap<String, String>,
    /// If it is given, the graph takes pixel values from 0 to 255 and normalises them itself.
    pub normalization: Option<Normalization>,
}

/// How pixel values from 0 to 255 become those that a module takes: `(value / 255 − mean) / std` per
/// channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// What is subtracted, per channel.
    pub mean: Vec<f32>,
    /// What it is divided by, per channel.
    pub std: Vec<f32>,
}

/// The bytes of an ONNX file with the forward pass of a module, as it is in evaluation mode.
///
/// `forward` takes images `[batch, channels, height, width]` and gives logits `[batch, classes]`.
///
/// # Errors
///
/// [`OnnxError::Unsupported`] if the forward pass uses an operation that is not known,
/// [`OnnxError::BatchDependent`] if it does something else for another number of images,
/// [`OnnxError::TooLarge`] if the file would be larger than [`MOST_BYTES`], and
/// [`OnnxError::Recording`] if Burn cannot record it.
pub fn export<M: Module>(
    module: &M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    description: &Description,
) -> Result<Vec<u8>, OnnxError> {
    // Parameters are not smaller in the file: they are not recorded for nothing.
    check_size(4 * module.num_params() as u64)?;
    let [channels, height, width] = description.image;
    let shape = |batch| [batch, channels, height, width];
    // One after the other, and the values of the second only as hashes: each capture copies them.
    let second = Outline::of(capture(module, &forward, shape(BATCHES[1]))?);
    let first = capture(module, &forward, shape(BATCHES[0]))?;
    let mut recorded = Recorded::join(first, second)?;
    recorded.operations = needed(std::mem::take(&mut recorded.operations), recorded.output);
    fold(&mut recorded)?;

    let output = recorded.output;
    let input = recorded.input;
    let operations = std::mem::take(&mut recorded.operations);
    let mut graph = Graph::new(&mut recorded);
    if let Some(normalization) = &description.normalization {
        normalize(&mut graph, normalization, input)?;
    }
    for operation in &operations {
        translate(&mut graph, operation)?;
    }
    // Only its number matters.
    let output = TensorIr::uninit(output, Shape::new([]), DType::F32);
    let classes = graph.dims(&output);
    graph.finish(&output)?;

    let classes = match classes.as_slice() {
        [_, crate::recorded::Dim::Fixed(classes)] => *classes,
        _ => {
            return Err(OnnxError::BatchDependent {
                what: "the number of its outputs depends on the number of images".to_owned(),
            });
        }
    };
    let image = description.image.map(|length| Some(int(length)));
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: description.producer[0].clone(),
        producer_version: description.producer[1].clone(),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: (description.metadata.iter())
            .map(|(key, value)| StringStringEntryProto {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        graph: Some(GraphProto {
            name: description.name.clone(),
            input: vec![bound(INPUT, &[&[None], &image[..]].concat())],
            output: vec![bound(OUTPUT, &[None, Some(int(classes))])],
            node: graph.nodes,
            initializer: graph.initializers,
        }),
    };
    check_size(model.encoded_len() as u64)?;
    Ok(model.encode_to_vec())
}

fn check_size(bytes: u64) -> Result<(), OnnxError> {
    if bytes > MOST_BYTES {
        return Err(OnnxError::TooLarge {
            bytes,
            most: MOST_BYTES,
        });
    }
    Ok(())
}

/// Puts the normalisation of pixel values before everything else.
fn normalize(
    graph: &mut Graph,
    normalization: &Normalization,
    input: TensorId,
) -> Result<(), OnnxError> {
    let per_channel = |values: &[f32]| TensorData::new(values.to_vec(), [values.len(), 1, 1]);
    let shape: [usize; 0] = [];
    let most = graph.initializer("constant", TensorData::new(vec![255.0_f32], shape))?;
    let mean = graph.initializer("mean", per_channel(&normalization.mean))?;
    let std = graph.initializer("std", per_channel(&normalization.std))?;
    let mut value = INPUT.to_owned();
    for (kind, other) in [("Div", most), ("Sub", mean), ("Div", std)] {
        value = graph.step(kind, vec![value, other], Vec::new());
    }
    graph.rename_input(input, value);
    Ok(())
}

/// An input or output of `f32` with these lengths; one without a number is the batch.
fn bound(name: &str, lengths: &[Option<i64>]) -> ValueInfoProto {
    let dimension = |length: &Option<i64>| Dimension {
        value: Some(match length {
            Some(length) => DimensionValue::DimValue(*length),
            None => DimensionValue::DimParam("batch".to_owned()),
        }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorType {
                elem_type: data_type::FLOAT,
                shape: Some(TensorShapeProto {
                    dim: lengths.iter().map(dimension).collect(),
                }),
            }),
        }),
    }
}
