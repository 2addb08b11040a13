//! What of a model trains, and how: full fine-tuning, LoRA and sparse shared PEFT, for any
//! [Burn](https://burn.dev) module.
//!
//! A model holds plain Burn layers and knows no method. It applies them through [`linear`] and
//! [`conv2d`], which take the factored path where an adapter is attached; a [`Method`] attaches
//! to the layers that [`Targets`] name.
//!
//! ```
//! use burn::{Tensor, module::Module, nn::{Linear, LinearConfig}, tensor::Device};
//! use finetune_methods::{LoraConfig, Method, Scope, Targets, count_parameters, linear};
//!
//! #[derive(Module, Debug)]
//! struct Net { body: Linear, head: Linear }
//!
//! let device = Device::flex().autodiff();
//! let net = Net {
//!     body: LinearConfig::new(64, 32).init(&device),
//!     head: LinearConfig::new(32, 5).init(&device),
//! };
//! let scope = Scope { head: "head", targets: &Targets::all(), seed: 0 };
//! let net = Method::Lora(LoraConfig::default()).attach(net, &scope)?.model;
//! let logits = linear(&net.head, linear(&net.body, Tensor::<2>::ones([1, 64], &device)));
//! assert_eq!(logits.dims(), [1, 5]);
//! // 8 · (64 + 32) for the adapter, 32 · 5 + 5 for the head.
//! assert_eq!(count_parameters(&net).trainable, 768 + 165);
//! let merged = net.valid().materialize(); // plain layers again
//! # let _ = merged;
//! # Ok::<(), finetune_methods::MethodError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adapter;
mod dynamics;
mod error;
mod forward;
mod layers;
mod lora;
mod method;
mod peft;
mod random;
mod targets;

pub use adapter::{Adapter, Geometry};
pub use dynamics::{Moved, SparseDynamics};
pub use error::MethodError;
pub use forward::{conv2d, linear};
pub use layers::{
    Layer, LayerKind, ParamInfo, ParameterCount, count_parameters, layers, parameters,
    parameters_lazily,
};
pub use lora::LoraConfig;
pub use method::{Attached, Method, Scope};
pub use peft::{Budget, PeftConfig, Regrow};
pub use random::normal;
pub use targets::Targets;
