//! Which layers are frozen, and their features for all images of a run.
//!
//! If nothing random happens to the images, the layers below the first one that trains have the
//! same output in every epoch. It is computed in one pass over the images before the first step, by
//! the same operations on the same device as in training, so that the result of a run is the same
//! to the bit.

use std::ops::ControlFlow;

use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use finetune_data::{Images, Loader, Order};
use finetune_methods::parameters;
use finetune_model::{Features, Stage, Staged};

use super::cache::{Cache, CacheView, Size};
use super::room::Placement;
use crate::classifier::Classifier;
use crate::data::{TrainingData, in_order};
use crate::error::TrainingError;
use crate::recipe::{FeatureCache, FeatureDtype, Recipe};

/// The features that a run computed once instead of at every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFeatures {
    /// Path of the first layer that was computed at every step.
    pub below: String,
    /// Size of the features in memory and in files, in bytes.
    pub bytes: u64,
    /// How many of these bytes were in files.
    pub file_bytes: u64,
    /// The type of the features.
    pub dtype: FeatureDtype,
}

/// The features of a run's images.
#[derive(Debug)]
pub(crate) struct FrozenFeatures {
    below: String,
    /// The number of views per training image; all images of a view follow one another.
    views: usize,
    train: Cache,
    valid: Option<Cache>,
}

impl FrozenFeatures {
    /// Computes the features. `None` if the recipe does not want them, if no layer is frozen, if
    /// there is no room, or if `progress` breaks it off.
    ///
    /// `progress` is called after each batch with the number of images that are done and the number
    /// of all images.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Data`] if an image cannot be read or a required file cannot be written;
    /// [`TrainingError::NoRoom`] and [`TrainingError::TooLarge`] with f16.
    pub(crate) fn compute<M: Classifier>(
        model: &M,
        data: &TrainingData<'_>,
        recipe: &Recipe,
        device: &Device,
        mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Self>, TrainingError> {
        let wanted = recipe.feature_cache != FeatureCache::Off;
        let views = recipe.cached_views().filter(|_| wanted);
        let (Some(network), Some(views)) = (model.staged(), views) else {
            return Ok(None);
        };
        let stages = network.stages();
        let frozen = &stages[..frozen(model, &stages, recipe)];
        let valid_images = data.valid.map_or(0, Images::len);
        let counts = [views * data.train.len(), valid_images];
        let images: usize = counts.iter().sum();
        let load = |size| {
            Loader::new(data.train, size, Order::Sequential)
                .normalization(data.normalization)
                .device(device)
        };
        let Some(first) = load(1).next().transpose()? else {
            return Ok(None);
        };
        let sizes = sizes(frozen, first.images, recipe.feature_dtype);
        let placement = Placement::find(recipe, &sizes, data.train, counts)?;
        let all = placement
            .as_ref()
            .is_some_and(|placement| placement.stages == frozen.len());
        // Otherwise the free memory would decide which features are rounded.
        if recipe.feature_dtype == FeatureDtype::F16
            && !all
            && let Some(size) = sizes.last()
        {
            let bytes = size * images as u64;
            return Err(TrainingError::NoRoom { bytes });
        }
        let Some(placement) = placement else {
            return Ok(None);
        };
        let count = placement.stages;
        let below = stages[count..]
            .iter()
            .find_map(|stage| stage.paths().first());
        let below = below.cloned().unwrap_or_default();
        let mut done = 0;
        let mut seen = |batch| {
            done += batch;
            progress(done, images).is_continue()
        };
        // On the device of training, although nothing is differentiated: its operations may differ
        // from those of the device without autodiff.
        let shown = (1..=views).flat_map(|view| {
            load(recipe.batch_size)
                .augment(recipe.augment.clone())
                .view(recipe.seed, view)
        });
        let train = Cache::compute(&frozen[..count], shown, placement.train, &mut seen)?;
        let Some(train) = train else { return Ok(None) };
        let mut valid = None;
        if let Some(images) = data.valid {
            let model = model.valid();
            let stages = model.staged().map_or_else(Vec::new, Staged::stages);
            let loader = in_order(images, data.normalization, recipe.batch_size, device);
            valid = Cache::compute(&stages[..count], loader, placement.valid, &mut seen)?;
            if valid.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            below,
            views,
            train,
            valid,
        }))
    }

    /// The features of the training images in the view that an epoch (from 1) shows.
    pub(crate) fn train(&self, recipe: &Recipe, epoch: usize) -> CacheView<'_> {
        let view = if self.views > 1 {
            recipe.view(epoch)
        } else {
            None
        };
        let before = view.map_or(0, |view| view - 1);
        self.train.from(before * self.train.len() / self.views)
    }

    /// The features of the validation images.
    pub(crate) fn valid(&self) -> Option<CacheView<'_>> {
        self.valid.as_ref().map(|valid| valid.from(0))
    }

    pub(crate) fn summary(self) -> CachedFeatures {
        let train = self.train.size();
        let valid = self.valid.as_ref().map_or(Size::default(), Cache::size);
        CachedFeatures {
            below: self.below,
            bytes: train.total + valid.total,
            file_bytes: train.in_files + valid.in_files,
            dtype: self.train.dtype(),
        }
    }
}

/// The number of stages before the first one that has a trained parameter, a changing statistic or
/// an adapter, or whose residual branches are left out at random.
fn frozen<M: Module>(model: &M, stages: &[Stage<'_>], recipe: &Recipe) -> usize {
    let parameters = parameters(model).into_iter();
    let active = parameters.filter(|param| param.changes || param.in_adapter());
    let first = active.map(|param| {
        // A parameter that no stage declares may be used by any of them.
        let mut stages = stages.iter();
        stages
            .position(|stage| stage.holds(&param.path))
            .unwrap_or(0)
    });
    let is_random = |stage: &Stage<'_>| stage.depth().unwrap_or(0.0) * recipe.drop_path > 0.0;
    let random = stages.iter().position(is_random);
    let first = first.min().unwrap_or(0);
    random.map_or(first, |random| random.min(first))
}

/// The size of one image's features behind each of these stages, in bytes.
fn sizes(stages: &[Stage<'_>], image: Tensor<4>, dtype: FeatureDtype) -> Vec<u64> {
    let mut sizes = Vec::with_capacity(stages.len());
    let mut features = Features::from(image);
    for stage in stages {
        features = stage.forward(features);
        let values: usize = features.dims().iter().product();
        sizes.push((dtype.size() * values) as u64);
    }
    sizes
}
