//! Fine-tuning of image classifiers: one loop for every model and every method.
//!
//! [`train`] trains a [`Classifier`] on [`TrainingData`] by a [`Recipe`] and reports to an
//! [`Observer`]. The loop knows no method: `finetune_methods` decides which parameters train, and a
//! method that changes during training takes part in each step through its dynamics. A method that is
//! not trained in steps is computed from the features of all images instead of by the loop.
//!
//! ```
//! use burn::tensor::Device;
//! use finetune_data::{Normalization, Preprocess, embedded_signs};
//! use finetune_methods::Adapted;
//! use finetune_model::Architecture;
//! use finetune_training::{Optimizer, Recipe, TrainingData, train};
//!
//! // Ten photographs of five classes, as 16 × 16 pixels.
//! let images = embedded_signs().train.take_per_class(2, 0).decode(&Preprocess::square(16))?;
//! let device = Device::flex().autodiff();
//! let model = Architecture::find("resnet8-64")?.build(5, 0, &device);
//! let data = TrainingData { train: &images, valid: None, normalization: Normalization::HALF };
//! let recipe = Recipe { epochs: 1, batch_size: 4, ..Recipe::new(Optimizer::Adam, 0.001) };
//! let trained = train(Adapted::from(model), &data, &recipe, &device, &mut ())?;
//! assert_eq!(trained.step_seconds.len(), 3);
//! assert!(trained.epochs[0].train_loss.is_finite());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod classifier;
mod data;
mod error;
mod features;
mod recipe;
mod run;
mod step;

pub use classifier::Classifier;
pub use data::TrainingData;
pub use error::TrainingError;
pub use features::CachedFeatures;
pub use recipe::{ClassWeights, FeatureCache, FeatureDtype, Optimizer, Recipe, Schedule, Select};
pub use run::{
    Answer, Checkpoint, Epoch, Observer, Predictions, RangeTest, Step, Trained, evaluate,
    fit_features, range_test, resume, train,
};
pub use step::importance;
