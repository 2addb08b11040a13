//! Fine-tuning methods for any [Burn](https://burn.dev) module: what of a model trains, and how.
//!
//! A model holds plain Burn layers and knows no method. It applies them through [`linear`] and
//! [`conv2d`], which take the adapter on a layer's weight into account. A [`Method`] of the
//! [catalogue] freezes the model, and attaches adapters to the layers that [`Targets`] select.
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
//! let net = Method::Lora(LoraConfig::default())
//!     .attach(net, &Scope::new("head", &targets, 0))?
//!     .into_model()?;
//! let logits = linear(&net.head, linear(&net.body, Tensor::<2>::ones([1, 64], &device)));
//! assert_eq!(logits.dims(), [1, 5]);
//! // 8 · (64 + 32) for the adapter, 32 · 5 + 5 for the head.
//! assert_eq!(count_parameters(&net).trainable, 768 + 165);
//! let merged = merge(&net.valid())?; // plain layers again
//! # let _ = merged;
//! # Ok::<(), finetune_methods::MethodError>(())
//! ```
//!
//! Some methods change the model while it trains. [`Adapted::into_parts`] gives a training loop the
//! [`Dynamics`] that it must apply; [`Adapted::into_model`] fails for such a method, and for those that are
//! computed at once by a [`Fit`](fit::Fit) instead of in training steps.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adapters;
pub mod attach;
pub mod catalogue;
pub mod combine;
mod error;
pub mod fit;
pub mod hf_peft;
pub mod inspect;
mod merge;
mod named;
pub mod random;
pub mod state;

pub use adapters::{conv2d, linear, parallel, prompted};
pub use attach::{Adapted, Scope};
pub use catalogue::{Dynamics, LoraConfig, Method, SparseSharedConfig};
pub use error::MethodError;
pub use finetune_kernels::Floats;
pub use inspect::{
    Importance, Layer, ParamInfo, Targets, count_parameters, layers, parameters, parameters_lazily,
};
pub use merge::merge;
pub use named::Adapters;
pub use state::{TrainedTensor, Values, load, trained};
