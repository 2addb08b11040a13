//! Weights files: reading them, recognising their architecture, matching their tensors with those of a
//! network, and writing them.

mod adapter;
mod foreign;
mod hf_peft;
mod matching;
mod parts;
mod pickle;
mod position;
mod pytorch;
mod read_safetensors;
mod sharded;
mod single;
mod state_dict;
mod tensor_file;
mod tensors;
mod twins;
mod understood;
mod weights_file;
mod write_pytorch;
mod write_safetensors;

pub use self::adapter::{load_adapter, save_adapter};
pub use self::hf_peft::{PeftNames, is_peft, load_peft, save_peft};
pub(crate) use self::position::line_weights;
pub use self::sharded::ShardIndex;
pub use self::state_dict::{StateTensor, tensors_of};
pub use self::twins::look_alikes;
pub use self::understood::{OtherSet, Understood};
pub use self::weights_file::{Head, Loaded, WeightsFile};
pub use self::write_pytorch::write_pth;
pub use self::write_safetensors::{save_network, state_dict, state_dict_of, write_safetensors};
