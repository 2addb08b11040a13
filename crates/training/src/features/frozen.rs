//! What the frozen layers at the beginning of a model make of the images, computed once.
//!
//! Where nothing random happens to the images, every layer below the first one that trains gives
//! the same at each epoch. It is computed in one pass over the images before the first step, by the
//! same operations on the same device as in training, so that a run comes out the same to the bit.

use burn::Tensor;
use burn::module::Module;
use burn::tensor::{Device, Int};
use finetune_data::{Batch, DataError, Images, Loader, Order};
use finetune_methods::parameters;
use finetune_model::{Feature, Features, Stage, Staged};

use crate::classifier::{Classifier, in_order};
use crate::error::TrainingError;
use crate::features::cache::{Kept, Place, View};
use crate::features::dtype::FeatureDtype;
use crate::recipe::{FeatureCache, Recipe};
use crate::run::observer::Observer;
use crate::run::train::TrainingData;

/// What a run computed once instead of at every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFeatures {
    /// Path of the first part of the model that was run at every step.
    pub below: String,
    /// What that took, in memory and in files, bytes.
    pub bytes: u64,
    /// How many of them were in files.
    pub file_bytes: u64,
    /// How the numbers were kept.
    pub dtype: FeatureDtype,
}

/// The features of a run's images.
#[derive(Debug)]
pub(crate) struct Frozen {
    below: String,
    /// How many views of each training image there are, one after the other.
    views: usize,
    train: Kept,
    valid: Option<Kept>,
}

/// A batch to learn from or to be tested with.
pub(crate) struct Input {
    pub(crate) given: Given,
    /// Index of each image's class, `[batch]`.
    pub(crate) labels: Tensor<1, Int>,
    /// Probability of each class, `[batch, classes]`, where images were mixed.
    pub(crate) soft: Option<Tensor<2>>,
}

/// What a model starts from.
pub(crate) enum Given {
    /// Normalised images.
    Images(Tensor<4>),
    /// What the first stages, so many of them, make of images.
    Features(usize, Features),
}

impl Frozen {
    /// Computes them; `None` where that is not wanted, gains nothing, or the observer breaks it off.
    ///
    /// # Errors
    ///
    /// An image that cannot be read; a file that is asked for and cannot be written; features
    /// that are to be f16 and have no room or are too large.
    pub(crate) fn compute<M: Classifier>(
        model: &M,
        data: &TrainingData<'_>,
        recipe: &Recipe,
        device: &Device,
        observer: &mut impl Observer,
    ) -> Result<Option<Self>, TrainingError> {
        let wanted = recipe.feature_cache != FeatureCache::Off;
        let views = recipe.kept_views().filter(|_| wanted);
        let (Some(network), Some(views)) = (model.staged(), views) else {
            return Ok(None);
        };
        let stages = network.stages();
        let frozen = &stages[..frozen(model, &stages)];
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
        let place = Place::find(recipe, &sizes, data.train, counts)?;
        let all = place
            .as_ref()
            .is_some_and(|place| place.stages == frozen.len());
        // What is rounded must not depend on how much room there happens to be.
        if recipe.feature_dtype == FeatureDtype::F16
            && !all
            && let Some(size) = sizes.last()
        {
            let bytes = size * images as u64;
            return Err(TrainingError::NoRoom { bytes });
        }
        let Some(place) = place else {
            return Ok(None);
        };
        let count = place.stages;
        let below = stages[count..]
            .iter()
            .find_map(|stage| stage.paths().first());
        let below = below.cloned().unwrap_or_default();
        let mut done = 0;
        let mut seen = |batch| {
            done += batch;
            observer.on_features(done, images).is_continue()
        };
        // On the device of training, although nothing is differentiated: some operations are
        // others there.
        let shown = (1..=views).flat_map(|view| {
            load(recipe.batch_size)
                .augment(recipe.augment.clone())
                .view(recipe.seed, view)
        });
        let train = Kept::compute(&frozen[..count], shown, place.train, &mut seen)?;
        let Some(train) = train else { return Ok(None) };
        let mut valid = None;
        if let Some(images) = data.valid {
            let model = model.valid();
            let stages = model.staged().map_or_else(Vec::new, Staged::stages);
            let loader = in_order(images, data.normalization, recipe.batch_size, device);
            valid = Kept::compute(&stages[..count], loader, place.valid, &mut seen)?;
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

    /// The features of the training images as an epoch shows them.
    pub(crate) fn train(&self, recipe: &Recipe, epoch: usize) -> View<'_> {
        let view = if self.views > 1 {
            recipe.view(epoch)
        } else {
            None
        };
        let before = view.map_or(0, |view| view - 1);
        self.train.from(before * self.train.len() / self.views)
    }

    /// The validation images' features.
    pub(crate) fn valid(&self) -> Option<View<'_>> {
        self.valid.as_ref().map(|valid| valid.from(0))
    }

    pub(crate) fn summary(self) -> KeptFeatures {
        let (train, valid) = (self.train.bytes(), self.valid.as_ref().map(Kept::bytes));
        let valid = valid.unwrap_or_default();
        KeptFeatures {
            below: self.below,
            bytes: train.0 + valid.0,
            file_bytes: train.1 + valid.1,
            dtype: self.train.dtype(),
        }
    }
}

/// How many stages come before the first in which something trains, moves, or is adapted.
fn frozen<M: Module>(model: &M, stages: &[Stage<'_>]) -> usize {
    let parameters = parameters(model).into_iter();
    let active = parameters.filter(|param| param.changes || param.in_adapter());
    let first = active.map(|param| {
        // What no stage holds may be in any.
        let mut stages = stages.iter();
        stages
            .position(|stage| stage.holds(&param.path))
            .unwrap_or(0)
    });
    first.min().unwrap_or(0)
}

/// Bytes of an image's features behind each of these stages.
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

impl Input {
    /// The batches of an epoch, in the loader's order: of features where there are some, of images
    /// otherwise.
    pub(crate) fn all<'a>(
        kept: Option<View<'a>>,
        loader: Loader<'a>,
        batch_size: usize,
        device: &Device,
    ) -> Box<dyn Iterator<Item = Result<Self, DataError>> + 'a> {
        let Some(kept) = kept else {
            let input = |batch: Batch| Self {
                given: Given::Images(batch.images),
                labels: batch.labels,
                soft: batch.soft,
            };
            return Box::new(loader.map(move |batch| batch.map(input)));
        };
        let indices = loader.indices().to_vec();
        let device = device.clone();
        let starts = (0..indices.len()).step_by(batch_size.max(1));
        Box::new(starts.map(move |start| {
            let end = indices.len().min(start + batch_size.max(1));
            kept.batch(&indices[start..end], &device)
        }))
    }
}

impl Given {
    /// How many stages are done, and what the next one takes.
    pub(crate) fn start(self) -> (usize, Features) {
        match self {
            Self::Images(images) => (0, images.into()),
            Self::Features(done, features) => (done, features),
        }
    }

    /// What a model says of them, `[batch, classes]`.
    pub(crate) fn logits<M: Classifier>(self, model: &M) -> Tensor<2> {
        match (self, model.staged()) {
            (Self::Images(images), _) => model.logits(images),
            (Self::Features(done, features), Some(network)) => {
                let count = network.stages().len();
                Tensor::of(network.forward_range(done..count, features))
            }
            (Self::Features(..), None) => unreachable!("only stages make features"),
        }
    }
}
