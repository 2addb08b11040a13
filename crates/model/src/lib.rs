//! Vision models for fine-tuning, and their weights in and out under PyTorch's names.
//!
//! ```
//! use burn::{Tensor, tensor::Device};
//! use finetune_model::Architecture;
//!
//! let device = Device::flex();
//! let architecture = Architecture::find("resnet8-64")?;
//! let network = architecture.build(5, 0, &device); // five classes, seed 0
//! let logits = network.forward(Tensor::zeros([1, 3, 64, 64], &device));
//! assert_eq!(logits.dims(), [1, 5]);
//! # Ok::<(), finetune_model::ModelError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod networks;
mod weights;

pub use error::ModelError;
pub use networks::architecture::{ARCHITECTURES, Architecture, Sizes};
pub use networks::init::Init;
pub use networks::{
    ChapterCnn, CifarResNet, ConvNext, Feature, Features, InvertedResidualNet, Network, ResNet,
    Stage, Staged, VisionTransformer, VitSize,
};
pub use weights::adapter::{load_adapter, save_adapter};
pub use weights::checkpoint::{Checkpoint, Head, Loaded};
pub use weights::hf_peft::{is_peft, load_peft, save_peft};
pub use weights::state_dict::StateTensor;
pub use weights::write_pytorch::write_pth;
pub use weights::write_safetensors::{save_network, state_dict, state_dict_of, write_safetensors};
