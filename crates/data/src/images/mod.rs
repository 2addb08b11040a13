//! From the bytes of an image file to pixels at the size that a model takes.

pub(crate) mod decode;
mod jpeg;
pub(crate) mod prepare;
pub(crate) mod resize;
