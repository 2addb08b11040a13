//! From the bytes of an image to pixels at the size that a model takes.

mod checksum;
mod decode;
mod jpeg;
mod normalization;
mod picture;
mod png;
pub(crate) mod prepare;
pub(crate) mod raster;
pub(crate) mod resize;
mod thumbnail;
mod tiff;
mod unusable;
mod webp;

pub(crate) use self::decode::{read, read_header};
pub use self::normalization::Normalization;
pub use self::picture::{FittedImage, Picture};
pub use self::prepare::{Fit, Preprocess, StoredSize};
pub use self::resize::Filter;
pub(crate) use self::thumbnail::thumbnail;
pub use self::unusable::UnusableImage;
