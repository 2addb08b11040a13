//! What a method trained, as plain numbers: read from a model, loaded into one, and stored in files.

mod bytes;
mod matrix;
mod tensors;
mod trained;

pub use bytes::{from_safetensors, to_safetensors, write_safetensors};
pub(crate) use matrix::{Matrix, floats};
pub(crate) use tensors::{Factors, Tensors};
pub use trained::{TrainedTensor, Values, load, trained};
pub(crate) use trained::{put, settle};
