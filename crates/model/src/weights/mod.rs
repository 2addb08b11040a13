//! Reading, recognising, matching and writing of weights files.

pub(crate) mod adapter;
pub(crate) mod checkpoint;
pub(crate) mod hf_peft;
mod matching;
mod position;
mod read_pytorch;
mod read_safetensors;
pub(crate) mod state_dict;
mod tensor_file;
pub(crate) mod write_pytorch;
pub(crate) mod write_safetensors;
