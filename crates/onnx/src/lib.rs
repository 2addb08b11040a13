//! ONNX files from Burn modules.
//!
//! [`export`] records the forward pass of a module on Burn's capture device, which lists the operations
//! instead of computing them, and writes them with the parameters as an ONNX model for any number of
//! images. An operation that it does not know is an error that names it.
//!
//! ```
//! use burn::{nn::LinearConfig, tensor::{Device, activation::relu}};
//! use finetune_onnx::{Description, export};
//!
//! let layer = LinearConfig::new(12, 2).init(&Device::flex());
//! let description = Description { image: [3, 2, 2], ..Description::default() };
//! let file = export(&layer, |layer, images| relu(layer.forward(images.flatten(1, 3))), &description)?;
//! // std::fs::write("model.onnx", file)
//! # assert!(file.len() > 4 * 26);
//! # Ok::<(), finetune_onnx::OnnxError>(())
//! ```
//!
//! The input is `images`, `[batch, channels, height, width]`, and the output `logits`, `[batch, classes]`.
//! The module must compute the same for each image of a batch: the forward pass is recorded for two and
//! for three images, and what differs between them must follow from the number of images. What it computes
//! from constants alone is computed once and written as a constant.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod capture;
mod constants;
mod error;
mod export;
mod graph;
pub mod proto;
mod recorded;
mod translate;

pub use error::OnnxError;
pub use export::{Description, IR_VERSION, MOST_BYTES, Normalization, OPSET, export};
