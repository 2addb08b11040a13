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

mod adapters;
mod attach;
mod catalogue;
mod combine;
mod error;
mod hf_peft;
mod inspect;
mod merge;
mod named;
mod random;
mod state;

pub use adapters::{
    Adapter, Bottleneck, Geometry, Hadamard, Kronecker, LowRank, Prompts, Quantize, Scale, Sparse,
    WeightShape, conv2d, linear, parallel, prompted,
};
pub use attach::{Attached, Faster, Method, Scope};
pub use catalogue::{
    AdaloraConfig, AdaptformerConfig, Bias, Budget, Dynamics, GpsConfig, Ia3Config, LohaConfig,
    LokrConfig, LoraConfig, LoraInit, Moved, PeftConfig, RankBudget, Regrow, ShiraConfig,
    SparseDynamics, SsfConfig, VeraConfig, VptConfig,
};
pub use combine::Combination;
pub use error::MethodError;
pub use finetune_kernels::Floats;
pub use hf_peft::{Names, PeftAdapter};
pub use inspect::{
    Importance, Layer, LayerKind, ParamInfo, ParameterCount, Targets, count_parameters, counts,
    freeze_statistics, layers, parameters, parameters_lazily,
};
pub use merge::merge;
pub use named::Adapters;
pub use random::{normals, uniforms};
pub use state::{
    TrainedTensor, Values, from_safetensors, load, to_safetensors, trained, write_safetensors,
};
