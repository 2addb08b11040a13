//! Layers that a library has in parts, such as `query`, `key` and `value` of `transformers` for the one
//! layer `qkv` here.
//!
//! The methods' own readers and writers see the whole layer, by its name with braces (see
//! [`parts`](super::parts)). What they wrote is [divided](split) among the parts afterwards, and what a
//! file has of the parts is [joined](join) before they read it.

mod factors;
mod join;
mod opened;
mod split;

pub(super) use join::join;
pub(super) use opened::Opened;
pub(super) use split::split;
