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

mod adapter_file;
mod chapter;
mod checkpoint;
mod error;
mod init;
mod registry;
mod resnet;
mod save;
mod state;

pub use adapter_file::{load_adapter, save_adapter};
pub use chapter::ChapterCnn;
pub use checkpoint::{Checkpoint, Head, Loaded};
pub use error::ModelError;
pub use init::Init;
pub use registry::{ARCHITECTURES, Architecture, Network};
pub use resnet::{BasicBlock, CifarResNet};
pub use save::{save_network, write_safetensors};
pub use state::StateTensor;
