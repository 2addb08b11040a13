//! One training loop for every method and model.
//!
//! ```
//! use burn::tensor::Device;
//! use finetune_data::{Normalization, Preprocess, embedded_signs};
//! use finetune_methods::Attached;
//! use finetune_model::Architecture;
//! use finetune_training::{Optimizer, Recipe, Schedule, TrainingData, train};
//!
//! let images = embedded_signs().train.take_per_class(2, 0).decode(&Preprocess::square(16))?;
//! let device = Device::flex().autodiff();
//! let model = Architecture::find("resnet8-64")?.build(5, 0, &device);
//! let data = TrainingData { train: &images, valid: None, normalization: Normalization::HALF };
//! let recipe = Recipe { epochs: 1, schedule: Schedule::Cosine, ..Recipe::new(Optimizer::Adam, 0.001) };
//! let trained = train(Attached::from(model), &data, &recipe, &device, &mut ())?;
//! assert!(trained.epochs[0].train_loss.is_finite());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod classifier;
mod error;
mod features;
mod recipe;
mod run;
mod step;

pub use classifier::{Classifier, Predictions, evaluate};
pub use error::TrainingError;
pub use features::dtype::FeatureDtype;
pub use features::frozen::KeptFeatures;
pub use recipe::schedule::Schedule;
pub use recipe::{ClassWeights, FeatureCache, Keep, Optimizer, Recipe};
pub use run::checkpoint::Checkpoint;
pub use run::dashboard::Dashboard;
pub use run::observer::{Epoch, Observer, Step};
pub use run::range_test::{RangeTest, range_test};
pub use run::train::{Trained, TrainingData, resume, train};
pub use step::importance::importance;
