//! CPU kernels for the operations that dominate the training time of image classifiers on Burn's
//! flex backend.
//!
//! Each operation uses Burn's extension mechanism and has its own backward pass. Backends without a
//! kernel compute it with Burn's ordinary operations. The crate does not depend on models, methods
//! or images.
//!
//! Each operation is a module of kernels on plain slices (`simd` runs them with the widest vectors
//! of the processor, rayon on its threads) and a `backend.rs`, which passes flex's `f32` tensors to
//! them (`memory`).
//!
//! ```
//! use burn::{Tensor, nn::BatchNormConfig, tensor::Device};
//! use finetune_kernels::{linear::linear, norm::{Activation, norm_act}};
//!
//! let device = Device::flex().autodiff();
//! let x = Tensor::<2>::ones([3, 4], &device).require_grad();
//! let weight = Tensor::ones([4, 2], &device);
//! let y = linear(x.clone(), weight, None);
//! assert_eq!(y.clone().into_data().to_vec::<f32>().unwrap(), [4.0; 6]);
//! let gradients = y.sum().backward();
//! assert_eq!(x.grad(&gradients).unwrap().into_data().to_vec::<f32>().unwrap(), [2.0; 12]);
//!
//! // Normalisation and ReLU in one operation.
//! let norm = BatchNormConfig::new(2).init(&device);
//! let y = norm_act(&norm, Tensor::ones([3, 2, 4, 4], &device), None, Activation::Relu);
//! assert_eq!(y.dims(), [3, 2, 4, 4]);
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]
// NdArray is deprecated upstream; people ask for it.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

pub mod adapted;
mod bf16;
mod conv;
pub mod counted;
mod floats;
pub mod host;
mod lanes;
pub mod linear;
pub mod machine;
#[allow(dead_code, reason = "the operations come one by one")]
mod memory;
pub mod norm;
pub mod optim;
pub mod pool;
pub mod precision;
#[allow(dead_code, reason = "the operations come one by one")]
mod simd;
pub mod tokens;

pub use conv::conv2d;
pub use floats::Floats;
