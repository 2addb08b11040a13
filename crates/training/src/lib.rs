//! One training loop for every method and model.
//!
//! ```
//! use burn::tensor::Device;
//! use finetune_data::{Normalization, Preprocess, embedded_signs};
//! use finetune_methods::Adapted;
//! use finetune_model::Architecture;
//! use finetune_training::{Optimizer, Recipe, Schedule, TrainingData, train};
//!
//! let images = embedded_signs().train.take_per_class(2, 0).decode(&Preprocess::square(16))?;
//! let device = Device::flex().autodiff();
//! let model = Architecture::find("resnet8-64")?.build(5, 0, &device);
//! let data = TrainingData { train: &images, valid: None, normalization: Normalization::HALF };
//! let recipe = Recipe { epochs: 1, schedule: Schedule::Cosine, ..Recipe::new(Optimizer::Adam, 0.001) };
//! let trained = train(Adapted::from(model), &data, &recipe, &device, &mut ())?;
//! assert!(trained.epochs[0].train_loss.is_finite());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod best;
mod checkpoint;
mod classifier;
mod dashboard;
mod dtype;
mod ema;
mod error;
mod exact;
mod features;
mod gradients;
mod groups;
mod importance;
mod kept;
mod levels;
mod loss;
mod observer;
mod optimizer;
mod range_test;
mod recipe;
mod run;
mod schedule;
mod segments;
mod sums;
mod thaw;
mod train;

pub use checkpoint::Checkpoint;
pub use classifier::{Classifier, Predictions, evaluate};
pub use dashboard::Dashboard;
pub use dtype::FeatureDtype;
pub use error::TrainingError;
pub use features::KeptFeatures;
pub use importance::importance;
pub use observer::{Epoch, Observer, Step};
pub use range_test::{RangeTest, range_test};
pub use recipe::{ClassWeights, FeatureCache, Keep, Optimizer, Recipe};
pub use schedule::Schedule;
pub use train::{Trained, TrainingData, resume, train};
