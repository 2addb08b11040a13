//! The mathematics of adapters, and how a model applies layers that carry them.
//!
//! An adapter sits on a layer's weight through Burn's reparameterization. The weight is seen as a
//! matrix `W` of `outputs × inputs`, with a convolution's kernel flattened. Most adapters add a `ΔW`
//! of few parameters to it and some scale its rows or columns; these can be merged. Two leave the
//! weight alone and change what happens around its layer.
//!
//! What only one method of the [catalogue](crate::catalogue) computes may stand in that method's file
//! instead.

mod bottleneck;
mod change;
mod counted;
mod form;
mod forward;
mod hadamard;
mod kronecker;
mod low_rank;
mod neighbours;
mod prompts;
mod quantize;
mod scale;
mod shape;
mod site;
mod sparse;
pub(crate) mod split;
pub(crate) mod start;

pub use bottleneck::Bottleneck;
pub(crate) use change::Change;
pub use form::{Form, Work};
pub use forward::{conv2d, linear, parallel, prompted};
pub use hadamard::Hadamard;
pub use kronecker::Kronecker;
pub use low_rank::{Geometry, LowRank};
pub use neighbours::Neighbours;
pub use prompts::Prompts;
pub use quantize::Quantize;
pub(crate) use quantize::{Blocks, dense};
pub use scale::Scale;
pub use shape::WeightShape;
pub(crate) use site::Site;
pub use sparse::Sparse;
pub use split::LoraInit;

pub use crate::catalogue::Adapter;
