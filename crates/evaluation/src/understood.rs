//! What a command understood before it computed anything: images, model, methods, recipe, device.
//!
//! It is shown at the start and part of the report, so that a misunderstanding is seen early and can
//! be found later.

use serde::{Deserialize, Serialize};

use crate::report::side_by_side::SideBySide;

/// What a command understood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Understood {
    /// The images.
    pub data: UnderstoodData,
    /// The model and its weights.
    pub model: UnderstoodModel,
    /// The methods, in order.
    pub methods: Vec<UnderstoodMethod>,
    /// The seeds, each of which every method is trained with.
    pub seeds: Vec<u64>,
    /// Name of the device.
    pub device: String,
    /// Number of threads that compute.
    pub threads: usize,
    /// How runs are done at the same time; `None` if one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side_by_side: Option<SideBySide>,
    /// The precision of products, unless they are `f32`.
    pub precision: Option<String>,
    /// The smaller number of training images per class on which all runs are done as well.
    pub few: Option<usize>,
    /// Folder for the results.
    pub out: String,
}

/// The images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnderstoodData {
    /// The path, or the name of a built-in data set.
    pub path: String,
    /// What it is: a folder of such a form, a manifest, …
    pub layout: String,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Training, validation and test images.
    pub parts: Vec<UnderstoodPart>,
    /// How the parts came about, what is not used and why, and whatever else was decided, a sentence
    /// each.
    pub notes: Vec<String>,
    /// The number of training images per class that was asked for.
    pub train_per_class: Option<usize>,
}

/// A part of the images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnderstoodPart {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// Number of images of each class.
    pub per_class: Vec<usize>,
}

impl UnderstoodPart {
    /// Number of images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.per_class
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The model and its weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnderstoodModel {
    /// Its name.
    pub name: String,
    /// Source of its weights: a file, `shipped`, or nothing if all runs start from random weights.
    pub weights: Option<String>,
    /// What should be known about them, a sentence each.
    pub notes: Vec<String>,
    /// Number of parameters, for these classes.
    pub parameters: u64,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// Mean of red, green and blue that is subtracted from values in 0–1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue that they are divided by.
    pub std: [f32; 3],
    /// How images are resized: `bilinear` or `bicubic`.
    pub filter: String,
    /// How pictures that are not square become square: `crop`, `squash` or `pad`.
    pub fit: String,
    /// Share of the side of the resized image that the centre crop retains, if it crops.
    pub crop: f32,
}

/// A method and how it trains.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnderstoodMethod {
    /// Its name.
    pub name: String,
    /// Number of parameters that train.
    pub trainable_parameters: u64,
    /// Number of all parameters.
    pub total_parameters: u64,
    /// Pattern of the layers that get an adapter; `None` if there are no adapters.
    pub targets: Option<String>,
    /// The highest learning rate; `None` if a range test finds it, or if there are no steps.
    pub learning_rate: Option<f64>,
    /// What is computed at once from the features of all training images, if the method is not trained in
    /// steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<String>,
    /// How the model is trained; without steps, only the size of batches counts.
    pub recipe: UnderstoodRecipe,
}

/// How a model is trained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnderstoodRecipe {
    /// Number of passes over the training images.
    pub epochs: usize,
    /// Number of optimiser steps per pass.
    pub steps_per_epoch: usize,
    /// Number of images per batch.
    pub batch_size: usize,
    /// Number of batches per optimiser step.
    pub accumulate: usize,
    /// Name of the optimiser.
    pub optimizer: String,
    /// Name of the schedule of the learning rate.
    pub schedule: String,
    /// Weight decay.
    pub weight_decay: f64,
    /// Probability that a residual branch of the last block is left out (stochastic depth).
    pub drop_path: f64,
    /// Probability of dropout before the head.
    pub head_dropout: f64,
    /// What happens to training images at random, in order; empty if nothing does.
    pub augmentation: Vec<String>,
}
