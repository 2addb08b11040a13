//! Metrics of one classifier on one set of images.

mod confusion;

pub use confusion::Confusion;
