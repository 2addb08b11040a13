//! Vision models for fine-tuning, and their weights files with the names of PyTorch's libraries.
//!
//! ```
//! use burn::{Tensor, tensor::Device};
//! use finetune_model::Architecture;
//!
//! let device = Device::flex();
//! let architecture = Architecture::find("resnet8-64")?;
//! let network = architecture.build(5, 0, &device); // 5 classes, seed 0
//! let logits = network.forward(Tensor::zeros([1, 3, 64, 64], &device));
//! assert_eq!(logits.dims(), [1, 5]);
//! # Ok::<(), finetune_model::ModelError>(())
//! ```
//!
//! [`networks`] has the models, [`weights`] reads and writes their files.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod figures;
pub mod networks;
pub mod weights;

pub use self::error::ModelError;
pub use self::figures::Figures;
pub use self::networks::{
    ARCHITECTURES, Architecture, Feature, Features, Init, Network, Setting, Settings, Sizes, Stage,
    Staged, StochasticDepth,
};
pub use self::weights::{
    Head, Loaded, OtherSet, PeftNames, ShardIndex, StateTensor, Understood, WeightsFile, is_peft,
    load_adapter, load_peft, look_alikes, save_adapter, save_network, save_peft, state_dict,
    state_dict_of, tensors_of, write_pth, write_safetensors,
};
