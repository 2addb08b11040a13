//! Adapters in HF PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! HF PEFT loads what is written here onto the same base model and computes the same, and the other
//! way round. What HF PEFT cannot represent is rejected by name rather than written wrongly: its
//! `LoRA` ignores a convolution's dilation, its `VeRA` and `SHiRA` support Linear layers only, and its
//! `DoRA` does not support groups. A low-rank method without a type of its own there (the sparse
//! shared one, `VeRA` on convolutions) is written as the equal `LoRA`. HF PEFT stores the `A` of a
//! grouped convolution ungrouped; it is written with the groups' blocks on the diagonal. A layer that a
//! library has in [`parts`] is divided among them and joined from them.
//!
//! Each method's own part is in its file of the [catalogue](crate::catalogue). Written for PEFT
//! 0.21.2.

mod adapter;
mod form;
mod fused;
mod keys;
mod names;
mod order;
mod parts;
mod ranks;
mod read;
mod settings;
mod write;

pub use adapter::HfPeftAdapter;
pub(crate) use form::{ByLayer, Form, HfPeft, ReadAdapters};
pub(crate) use keys::{
    BIASES_ARE_STORED, FOR_CONV1D, Keys, LORA_KEYS, LORA_REJECTED, LORA_UNUSED, ONLY_AT_THE_START,
};
pub use names::Names;
pub use parts::{Part, parts};
pub(crate) use ranks::Ranks;
pub(crate) use read::{File, LayerTensors, param};
pub(crate) use settings::{Settings, is_off, rejected, shown};
pub(crate) use write::{Writer, any_of, not_in_hf_peft, reject_dilation};
