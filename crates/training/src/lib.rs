//! One training loop for every method and model.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod optimizer_state;
mod recipe;
mod train;

pub use error::TrainingError;
pub use recipe::{Optimizer, Recipe, Schedule};
pub use train::{
    Classifier, Epoch, Observer, Predictions, Step, Trained, TrainingData, evaluate, train,
};
