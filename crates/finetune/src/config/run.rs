//! What a run is: everything that was chosen, with nothing left to look up.

use std::path::PathBuf;

use finetune_data::augment::not_mirrored;
use finetune_methods::{Method, Targets};
use finetune_model::Architecture;
use finetune_training::Recipe;
use serde::{Deserialize, Serialize};

use super::data::{DataConfig, Decoded, Watch};
use super::defaults::{self, For};
use super::format::Format;
use super::mirror::Mirror;
use super::save::Save;
use crate::error::Error;
use crate::machine::precision::Precision;
use crate::weights::Preparation;

/// One run: a method, a seed, and everything that determines the result.
///
/// [`new`](Self::new) fills in the defaults, the setters change the most common settings, and every
/// field is public. It is the form that is written to `config.json`.
///
/// ```
/// use finetune::config::RunConfig;
/// use finetune::methods::Method;
///
/// let config = RunConfig::new(Method::Sft).model("resnet18")?.data("my/images").epochs(3);
/// assert_eq!((config.data.image_size, config.recipe.epochs), (224, 3));
/// # Ok::<(), finetune::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The fine-tuning method.
    pub method: Method,
    /// Whether training starts from random weights instead of pretrained ones: the baseline
    /// `scratch`.
    pub from_scratch: bool,
    /// The model's name.
    pub model: String,
    /// The file of the pretrained weights; `None` is the model's own, shipped or in the cache
    /// folder.
    pub weights: Option<PathBuf>,
    /// How the publisher of the weights prepares images; `None` is as usual for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Preparation>,
    /// Units of the hidden layer of the head; `None` is a linear head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_hidden: Option<usize>,
    /// The images.
    pub data: DataConfig,
    /// Pattern of the layers that get an adapter; `None` is the model's own.
    pub targets: Option<String>,
    /// Pattern of layers that get none.
    pub exclude_targets: Option<String>,
    /// Numbers of the blocks whose layers get an adapter; all blocks if empty.
    #[serde(default)]
    pub layers_to_transform: Vec<usize>,
    /// What precedes a block's number in a layer's path.
    #[serde(default)]
    pub layers_pattern: Option<String>,
    /// Layers that train completely, in addition to the head.
    #[serde(default)]
    pub modules_to_save: Vec<String>,
    /// Whether the `BatchNorm` statistics of a frozen base adapt to the new images.
    #[serde(default)]
    pub adapt_statistics: bool,
    /// Epochs, batch size, optimiser and so on.
    pub recipe: Recipe,
    /// Whether mirroring, if the augmentation has it, depends on what the images show.
    #[serde(default)]
    pub mirror: Mirror,
    /// Whether a range test chooses the learning rate.
    #[serde(default)]
    pub auto_rate: bool,
    /// The device's name; see [`device`](crate::machine::device).
    pub device: String,
    /// Number of threads that compute; `None` is one per core.
    pub threads: Option<usize>,
    /// The precision of matrix products and convolutions.
    #[serde(default)]
    pub precision: Precision,
    /// Kind of file that the finished model is written as, in addition to safetensors.
    #[serde(default)]
    pub format: Format,
    /// Which files of the finished run are written.
    #[serde(default, skip_serializing_if = "Save::is_both")]
    pub save: Save,
    /// Minimum time between two checkpoints, seconds.
    #[serde(default)]
    pub checkpoint_seconds: u64,
    /// How many epochs retain a checkpoint of their own.
    #[serde(default)]
    pub keep_checkpoints: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl RunConfig {
    /// The default model with its own weights on the embedded photographs, with the method's
    /// default recipe and seed 0.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self::with(method, false)
    }

    /// The baseline: the default model trained from random weights.
    #[must_use]
    pub fn scratch() -> Self {
        Self::with(Method::Sft, true)
    }

    fn with(method: Method, from_scratch: bool) -> Self {
        let name = defaults::name(&method, from_scratch);
        Self {
            method,
            from_scratch,
            model: defaults::MODEL.to_owned(),
            weights: None,
            preparation: None,
            head_hidden: None,
            data: DataConfig::default(),
            targets: None,
            exclude_targets: None,
            layers_to_transform: Vec::new(),
            layers_pattern: None,
            modules_to_save: Vec::new(),
            adapt_statistics: false,
            recipe: defaults::recipe(name, For::Small),
            mirror: Mirror::Set,
            auto_rate: false,
            device: "flex".to_owned(),
            threads: None,
            precision: Precision::default(),
            format: Format::default(),
            save: Save::default(),
            checkpoint_seconds: 30,
            keep_checkpoints: 0,
            seed: 0,
        }
    }

    /// Another model, with the size of its images, and the method's default epochs, learning rate, augmentation,
    /// dropout and treatment of the last batch for it.
    ///
    /// # Errors
    ///
    /// No model has that name.
    pub fn model(mut self, name: &str) -> Result<Self, Error> {
        let architecture = Architecture::find(name)?;
        let recipe = defaults::recipe(self.method_name(), For::model(architecture));
        name.clone_into(&mut self.model);
        self.data.image_size = architecture.image_size;
        self.recipe.epochs = recipe.epochs;
        self.recipe.learning_rate = recipe.learning_rate;
        self.mirror = defaults::mirror(&recipe);
        self.recipe.augment = recipe.augment;
        self.recipe.drop_last = recipe.drop_last;
        self.recipe.drop_path = recipe.drop_path;
        self.recipe.head_dropout = recipe.head_dropout;
        Ok(self)
    }

    /// A file of pretrained weights; [`locate`](crate::weights::locate) fetches one from the Hugging
    /// Face Hub.
    #[must_use]
    pub fn weights(mut self, file: impl Into<PathBuf>) -> Self {
        self.weights = Some(file.into());
        self
    }

    /// The images: an image folder, a manifest, Parquet or IDX files, `embedded` or
    /// `fashion-mnist`.
    #[must_use]
    pub fn data(mut self, path: impl Into<PathBuf>) -> Self {
        self.data.path = path.into();
        self
    }

    /// Side of the square images, pixels.
    #[must_use]
    pub fn image_size(mut self, side: usize) -> Self {
        self.data.image_size = side;
        self
    }

    /// Uses this many training images per class.
    #[must_use]
    pub fn train_per_class(mut self, images: usize) -> Self {
        self.data.train_per_class = Some(images);
        self
    }

    /// Number of passes over the training images.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.recipe.epochs = epochs;
        self
    }

    /// Number of images per batch.
    #[must_use]
    pub fn batch_size(mut self, images: usize) -> Self {
        self.recipe.batch_size = images;
        self
    }

    /// Peak learning rate.
    #[must_use]
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.recipe.learning_rate = rate;
        self
    }

    /// Seed of everything random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.recipe.seed = seed;
        self
    }

    /// Whether the run starts from weights in a file, and not from random ones or those inside the
    /// program.
    #[must_use]
    pub fn starts_from_file(&self) -> bool {
        !self.from_scratch && self.weights.is_some()
    }

    /// Whether the finished run writes its whole model, with the adapter merged.
    #[must_use]
    pub fn saves_model(&self) -> bool {
        self.method.merges() && (self.save != Save::Adapter || !self.method.freezes_base())
    }

    /// Whether the finished run writes what it trained, to be used with the base weights.
    #[must_use]
    pub fn saves_adapter(&self) -> bool {
        self.method.freezes_base() && (self.save != Save::Model || !self.method.merges())
    }

    /// The name of the method on the command line and in file names; `scratch` for the baseline.
    #[must_use]
    pub fn method_name(&self) -> &'static str {
        defaults::name(&self.method, self.from_scratch)
    }

    /// The model's architecture for the run's image size.
    ///
    /// # Errors
    ///
    /// No model has that name, or it does not take images of that size.
    pub fn architecture(&self) -> Result<Architecture, Error> {
        let architecture = Architecture::find(&self.model)?.at(self.data.image_size)?;
        let architecture = architecture.with_head_hidden(self.head_hidden);
        let preparation = self.preparation.as_ref();
        Ok(preparation.map_or(architecture, |preparation| {
            preparation.applied(&architecture)
        }))
    }

    /// Opens and prepares the run's images.
    ///
    /// # Errors
    ///
    /// The data set is not valid, or an image cannot be used.
    pub fn images(&self) -> Result<Decoded, Error> {
        self.images_watched(&mut |_, _| ())
    }

    /// As [`images`](Self::images), which may take long: tells `watch` again and again how many images
    /// of how many are decoded.
    ///
    /// # Errors
    ///
    /// As [`images`](Self::images).
    pub fn images_watched(&self, watch: Watch<'_>) -> Result<Decoded, Error> {
        let preprocess = self.data.preprocess(&self.architecture()?);
        let (data, augment) = (&self.data, &self.recipe.augment);
        data.decode(data.whole()?, self.seed, &preprocess, augment, watch)
    }

    /// Why training images are not mirrored although the augmentation would mirror others; `None` if
    /// that is not left to the names of the images.
    #[must_use]
    pub fn not_mirrored(&self, classes: &[String]) -> Option<String> {
        if self.mirror == Mirror::Set {
            return None;
        }
        let name = self.data.path.file_name();
        not_mirrored(&name.unwrap_or_default().to_string_lossy(), classes)
    }

    /// Leaves out mirroring if the names of the images or of these classes speak against it.
    pub(crate) fn settle(&mut self, classes: &[String]) {
        if self.not_mirrored(classes).is_some() {
            self.recipe.augment.flip = false;
        }
    }

    /// The layers that get an adapter.
    ///
    /// # Errors
    ///
    /// A pattern is not a valid regular expression.
    pub fn targets(&self) -> Result<Targets, Error> {
        let targets = match &self.targets {
            Some(pattern) => Targets::parse(pattern)?,
            None => Targets::parse(self.architecture()?.targets_of(&self.method)?)?,
        };
        let targets = match &self.exclude_targets {
            Some(pattern) => targets.exclude(pattern)?,
            None => targets,
        };
        Ok(if self.layers_to_transform.is_empty() {
            targets
        } else {
            targets.in_blocks(&self.layers_to_transform, self.layers_pattern.as_deref())?
        })
    }
}
