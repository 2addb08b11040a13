//! Metrics of one classifier on one set of images.

mod confusion;
mod probabilities;

pub use confusion::Confusion;
pub use probabilities::{Answer, Probabilities};
