//! What the frozen layers at the beginning of a model make of the images, computed once.
//!
//! Where nothing random happens to the images, every layer below the first one that trains gives
//! the same at each epoch. It is computed in one pass over the images before the first step, by the
//! same operations on the same device as in training, so that a run comes out the same to the bit.

use burn::Tensor;
use burn::module::Module;
use burn::tensor::{Device, Int, TensorData};
use finetune_data::{Augment, Batch, DataError, Images, Loader, Order};
use finetune_methods::parameters;
use finetune_model::{Feature, Features, Stage, Staged};

use crate::classifier::{Classifier, in_order};
use crate::observer::Observer;
use crate::recipe::{FeatureCache, Recipe};
use crate::train::TrainingData;

/// What a run computed once instead of at every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFeatures {
    /// Path of the first part of the model that was run at every step.
    pub below: String,
    /// Memory that was taken, bytes.
    pub bytes: u64,
}

/// The features of a run's images.
#[derive(Debug)]
pub(crate) struct Frozen {
    below: String,
    train: Kept,
    valid: Option<Kept>,
}

/// The features of some images, in their order.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Stages that made them.
    stages: usize,
    /// Axes of one image's.
    shape: Vec<usize>,
    values: Vec<f32>,
    labels: Vec<i64>,
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
    /// An image that cannot be read.
    pub(crate) fn compute<M: Classifier>(
        model: &M,
        data: &TrainingData<'_>,
        recipe: &Recipe,
        device: &Device,
        observer: &mut impl Observer,
    ) -> Result<Option<Self>, DataError> {
        let wanted = recipe.feature_cache == FeatureCache::Auto
            && recipe.augment == Augment::default()
            && recipe.epochs > 1;
        let Some(network) = model.staged().filter(|_| wanted) else {
            return Ok(None);
        };
        let stages = network.stages();
        let frozen = &stages[..frozen(model, &stages)];
        let valid_images = data.valid.map_or(0, Images::len);
        let images = data.train.len() + valid_images;
        let load = |images, size| {
            Loader::new(images, size, Order::Sequential)
                .normalization(data.normalization)
                .device(device)
        };
        let Some(first) = load(data.train, 1).next().transpose()? else {
            return Ok(None);
        };
        let count = deepest(frozen, first.images, images, budget());
        let below = stages[count..]
            .iter()
            .find_map(|stage| stage.paths().first());
        let below = below.cloned().unwrap_or_default();
        if count == 0 {
            return Ok(None);
        }
        let mut done = 0;
        let mut seen = |batch| {
            done += batch;
            observer.on_features(done, images).is_continue()
        };
        // On the device of training, although nothing is differentiated: some operations are
        // others there.
        let loader = load(data.train, recipe.batch_size);
        let train = Kept::compute(&frozen[..count], loader, data.train.len(), &mut seen)?;
        let Some(train) = train else { return Ok(None) };
        let mut valid = None;
        if let Some(images) = data.valid {
            let model = model.valid();
            let stages = model.staged().map_or_else(Vec::new, Staged::stages);
            let loader = in_order(images, data.normalization, recipe.batch_size, device);
            valid = Kept::compute(&stages[..count], loader, valid_images, &mut seen)?;
            if valid.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            below,
            train,
            valid,
        }))
    }

    /// The training images' features, and the validation images'.
    pub(crate) fn parts(&self) -> (Option<&Kept>, Option<&Kept>) {
        (Some(&self.train), self.valid.as_ref())
    }

    pub(crate) fn summary(self) -> KeptFeatures {
        let valid = self.valid.map_or(0, |valid| valid.values.len());
        KeptFeatures {
            below: self.below,
            bytes: 4 * (self.train.values.len() + valid) as u64,
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

/// The most of these stages whose features of so many images fit the budget, bytes.
fn deepest(stages: &[Stage<'_>], image: Tensor<4>, images: usize, budget: u64) -> usize {
    let mut features = Features::from(image);
    let mut deepest = 0;
    for (index, stage) in stages.iter().enumerate() {
        features = stage.forward(features);
        let bytes = 4 * images as u64 * features.dims().iter().product::<usize>() as u64;
        if bytes <= budget {
            deepest = index + 1;
        }
    }
    deepest
}

/// Memory that features may take: a quarter of what is free, bytes.
fn budget() -> u64 {
    const UNKNOWN: u64 = 1 << 30;
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = free.and_then(|free| free.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.map_or(UNKNOWN, |kibibytes: u64| kibibytes * 1024 / 4)
}

impl Kept {
    /// Runs the stages over all images; `None` where `seen` says so after a batch, or where they do
    /// not compute in `f32`.
    fn compute(
        stages: &[Stage<'_>],
        loader: Loader<'_>,
        images: usize,
        seen: &mut impl FnMut(usize) -> bool,
    ) -> Result<Option<Self>, DataError> {
        let mut kept = Self {
            stages: stages.len(),
            shape: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
        };
        for batch in loader {
            let batch = batch?;
            let input = Features::from(batch.images);
            let features = stages.iter().fold(input, |x, stage| stage.forward(x));
            let data = features.into_data();
            let Ok(values) = data.as_slice::<f32>() else {
                return Ok(None);
            };
            if kept.shape.is_empty() {
                kept.shape = data.shape()[1..].to_vec();
                let size: usize = kept.shape.iter().product();
                kept.values.reserve_exact(images * size);
            }
            kept.values.extend_from_slice(values);
            kept.labels.extend(batch.labels.into_data().iter::<i64>());
            if !seen(data.shape()[0]) {
                return Ok(None);
            }
        }
        Ok(Some(kept))
    }

    /// The features of those images.
    fn batch(&self, indices: &[usize], device: &Device) -> Input {
        let size: usize = self.shape.iter().product();
        let mut values = Vec::with_capacity(indices.len() * size);
        let mut labels = Vec::with_capacity(indices.len());
        for index in indices {
            values.extend_from_slice(&self.values[index * size..][..size]);
            labels.push(self.labels[*index]);
        }
        let shape = [&[indices.len()], self.shape.as_slice()].concat();
        let features = Features::from_data(TensorData::new(values, shape), device);
        Input {
            given: Given::Features(self.stages, features),
            labels: Tensor::from_data(TensorData::new(labels, [indices.len()]), device),
            soft: None,
        }
    }
}

impl Input {
    /// The batches of an epoch, in the loader's order: of features where there are some, of images
    /// otherwise.
    pub(crate) fn all<'a>(
        kept: Option<&'a Kept>,
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
            Ok(kept.batch(&indices[start..end], &device))
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
