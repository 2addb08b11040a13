//! What of a model trains, and how: full fine-tuning, LoRA and sparse shared PEFT, for any
//! [Burn](https://burn.dev) module.
//!
//! A model holds plain Burn layers and knows no method. It applies them through [`linear`] and
//! [`conv2d`], which take the factored path where an adapter is attached; a [`Method`] attaches
//! to the layers that [`Targets`] name.
//!
//! ```
//! use burn::{Tensor, module::Module, nn::{Linear, LinearConfig}, tensor::Device};
//! use finetune_methods::{LoraConfig, Method, Scope, Targets, count_parameters, linear, merge};
//!
//! #[derive(Module, Debug)]
//! struct Net { body: Linear, head: Linear }
//!
//! let device = Device::flex().autodiff();
//! let net = Net {
//!     body: LinearConfig::new(64, 32).init(&device),
//!     head: LinearConfig::new(32, 5).init(&device),
//! };
//! let targets = Targets::all();
//! let scope = Scope::new("head", &targets, 0);
//! let net = Method::Lora(LoraConfig::default()).attach(net, &scope)?.model;
//! let logits = linear(&net.head, linear(&net.body, Tensor::<2>::ones([1, 64], &device)));
//! assert_eq!(logits.dims(), [1, 5]);
//! // 8 · (64 + 32) for the adapter, 32 · 5 + 5 for the head.
//! assert_eq!(count_parameters(&net).trainable, 768 + 165);
//! let merged = merge(&net.valid())?; // plain layers again
//! # let _ = merged;
//! # Ok::<(), finetune_methods::MethodError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adapter;
mod bytes;
mod combine;
mod config;
mod dynamics;
mod error;
mod forward;
mod importance;
mod layers;
mod matrix;
mod merge;
mod method;
mod named;
mod peft_format;
mod quantize;
mod random;
mod state;
mod statistics;
mod targets;
mod tensors;

pub use adapter::{
    Adapter, Bottleneck, Geometry, Hadamard, Kronecker, LowRank, Prompts, Scale, Sparse,
    WeightShape,
};
pub use bytes::{from_safetensors, to_safetensors, write_safetensors};
pub use combine::Combination;
pub use config::{
    AdaloraConfig, AdaptformerConfig, Bias, Budget, GpsConfig, Ia3Config, LohaConfig, LokrConfig,
    LoraConfig, LoraInit, PeftConfig, Regrow, ShiraConfig, SsfConfig, VeraConfig, VptConfig,
};
pub use dynamics::{Dynamics, Moved, RankBudget, SparseDynamics};
pub use error::MethodError;
pub use finetune_kernels::Floats;
pub use forward::{conv2d, linear, parallel, prompted};
pub use importance::Importance;
pub use layers::{
    Layer, LayerKind, ParamInfo, ParameterCount, count_parameters, counts, layers, parameters,
    parameters_lazily,
};
pub use merge::merge;
pub use method::{Attached, Faster, Method, Scope};
pub use named::Adapters;
pub use peft_format::{Names, PeftAdapter};
pub use quantize::Quantize;
pub use random::{normals, uniforms};
pub use state::{TrainedTensor, Values, load, trained};
pub use statistics::freeze_statistics;
pub use targets::Targets;
