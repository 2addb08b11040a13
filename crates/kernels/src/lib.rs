//! CPU kernels for what training spends its time on, on Burn's flex backend.
//!
//! Each operation goes through Burn's extension mechanism, with a backward of its own; backends
//! without a kernel compute it with Burn's ordinary operations. Nothing here knows of models,
//! methods or images.
//!
//! An operation is a module: kernels on plain slices (`simd` runs them with the widest vectors
//! of the processor, rayon's pool on its threads), and a `backend.rs` that hands flex's tensors to
//! them (`memory`) where they hold `f32`.

#![cfg_attr(test, allow(clippy::unwrap_used))]
// NdArray is deprecated upstream; people ask for it.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

mod conv;
mod floats;
mod lanes;
pub mod linear;
pub mod machine;
#[allow(dead_code, reason = "the operations come one by one")]
mod memory;
pub mod norm;
pub mod optim;
pub mod pool;
#[allow(dead_code, reason = "the operations come one by one")]
mod simd;

pub use conv::conv2d;
pub use floats::Floats;
