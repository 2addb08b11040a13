//! The cached features of a set of images: computing and reading them.

use burn::Tensor;
use burn::tensor::{Device, TensorData};
use finetune_data::store::ByteStore;
use finetune_data::{Batch, DataError, Loader};
use finetune_model::{Features, Stage};

use super::input::{Batches, Input, Start, image_batches};
use super::room::Storage;
use crate::error::TrainingError;
use crate::recipe::FeatureDtype;

/// The features of a sequence of images.
#[derive(Debug)]
pub(super) struct Cache {
    /// The number of stages that computed them.
    stages: usize,
    /// The shape of one image's features.
    shape: Vec<usize>,
    dtype: FeatureDtype,
    store: ByteStore,
    labels: Vec<i64>,
}

/// The size of cached features in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) total: u64,
    /// How much of it is in files.
    pub(super) in_files: u64,
}

/// The cached features from one image on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheView<'a> {
    cache: &'a Cache,
    first: usize,
}

impl Cache {
    /// Runs the stages over all images.
    ///
    /// `None` if `seen`, which is called with the size of each batch, returns `false`; if the
    /// stages do not compute in `f32`; or if an optional file cannot be written.
    ///
    /// # Errors
    ///
    /// As [`Storage::push`], and [`TrainingError::Data`] if an image cannot be read.
    pub(super) fn compute(
        stages: &[Stage<'_>],
        batches: impl Iterator<Item = Result<Batch, DataError>>,
        mut storage: Storage,
        seen: &mut impl FnMut(usize) -> bool,
    ) -> Result<Option<Self>, TrainingError> {
        let (mut shape, mut labels) = (Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch?;
            let input = Features::from(batch.images);
            let features = stages.iter().fold(input, |x, stage| stage.forward(x));
            let data = features.into_data();
            let Ok(values) = data.as_slice::<f32>() else {
                return Ok(None);
            };
            shape = data.shape()[1..].to_vec();
            let Some(pushed) = storage.push(values)? else {
                return Ok(None);
            };
            storage = pushed;
            labels.extend(batch.labels.into_data().iter::<i64>());
            if !seen(data.shape()[0]) {
                return Ok(None);
            }
        }
        let (store, dtype) = storage.into_parts();
        Ok(Some(Self {
            stages: stages.len(),
            shape,
            dtype,
            store,
            labels,
        }))
    }

    pub(super) fn size(&self) -> Size {
        let total = self.store.len();
        Size {
            total,
            in_files: if self.store.is_file() { total } else { 0 },
        }
    }

    pub(super) fn dtype(&self) -> FeatureDtype {
        self.dtype
    }

    /// The number of images.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The features from image `first` on, which becomes image 0.
    pub(super) fn from(&self, first: usize) -> CacheView<'_> {
        CacheView { cache: self, first }
    }
}

impl<'a> CacheView<'a> {
    /// The features of the images at these indices.
    ///
    /// # Errors
    ///
    /// [`DataError::ByteStore`] if the file cannot be read.
    fn batch(&self, indices: &[usize], device: &Device) -> Result<Input, DataError> {
        let cache = self.cache;
        let size: usize = cache.shape.iter().product();
        let bytes = cache.dtype.size() * size;
        let mut values = Vec::with_capacity(indices.len() * size);
        let mut labels = Vec::with_capacity(indices.len());
        for index in indices {
            let index = self.first + index;
            let read = cache.store.read(index as u64 * bytes as u64, bytes)?;
            cache.dtype.decode(&read, &mut values);
            labels.push(cache.labels[index]);
        }
        let shape = [&[indices.len()], cache.shape.as_slice()].concat();
        let features = Features::from_data(TensorData::new(values, shape), device);
        Ok(Input {
            start: Start::Features {
                stages: cache.stages,
                features,
            },
            labels: Tensor::from_data(TensorData::new(labels, [indices.len()]), device),
            shares: None,
        })
    }

    /// The features of these images, in batches.
    fn batches(self, indices: Vec<usize>, batch_size: usize, device: &Device) -> Batches<'a> {
        let device = device.clone();
        let starts = (0..indices.len()).step_by(batch_size.max(1));
        Box::new(starts.map(move |start| {
            let end = indices.len().min(start + batch_size.max(1));
            self.batch(&indices[start..end], &device)
        }))
    }
}

/// The batches of an epoch in the loader's order: of cached features if there are any, otherwise of
/// the loader's images.
pub(crate) fn batches<'a>(
    cached: Option<CacheView<'a>>,
    loader: Loader<'a>,
    batch_size: usize,
    device: &Device,
) -> Batches<'a> {
    match cached {
        Some(cached) => cached.batches(loader.remaining().to_vec(), batch_size, device),
        None => image_batches(loader),
    }
}

#[cfg(test)]
mod tests {
    use finetune_data::{Images, Order, Preprocess, embedded_signs};
    use finetune_model::{Architecture, Feature};

    use super::*;
    use crate::classifier::Classifier;

    fn images() -> Images {
        let set = embedded_signs().train.take_per_class(1, 0);
        set.decode(&Preprocess::square(8)).unwrap()
    }

    /// Computes the features after all stages except the last, for images whose values are
    /// multiplied by `brighter`.
    fn computed(
        stages: &[Stage<'_>],
        dtype: FeatureDtype,
        brighter: f32,
    ) -> Result<Option<Cache>, TrainingError> {
        let images = images();
        let batches = Loader::new(&images, 2, Order::Sequential).map(|batch| {
            let batch = batch?;
            Ok(Batch {
                images: batch.images * brighter,
                ..batch
            })
        });
        let storage = Storage::in_memory(dtype);
        let frozen = &stages[..stages.len() - 1];
        Cache::compute(frozen, batches, storage, &mut |_| true)
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn f16_changes_logits_by_no_more_than_the_rounding_of_features() {
        let device = Device::flex();
        let network = Architecture::find("resnet8-64").unwrap();
        let network = network.build(5, 0, &device);
        let whole_network = network.staged().unwrap();
        let stages = whole_network.stages();
        let of = |dtype| {
            let cache = computed(&stages, dtype, 1.0).unwrap().unwrap();
            let bytes = cache.size().total;
            let input = cache.from(0).batch(&[0, 1, 2, 3, 4], &device).unwrap();
            let (done, features) = input.start.into_parts();
            (bytes, done, Tensor::<2>::of(features))
        };
        let (whole, done, exact) = of(FeatureDtype::F32);
        let (half, _, rounded) = of(FeatureDtype::F16);
        assert_eq!((whole, half), (5 * 64 * 4, 5 * 64 * 2));
        assert_eq!(done + 1, stages.len());
        // f16 rounds to a multiple of 2^(e - 10), where 2^e is the largest power of 2 that is not
        // above the value.
        for (exact, rounded) in values(exact.clone()).iter().zip(values(rounded.clone())) {
            let value = f64::from(*exact);
            let unit = value.abs().log2().floor().max(-14.0) - 10.0;
            let wanted = (value / unit.exp2()).round_ties_even() * unit.exp2();
            assert!(
                (f64::from(rounded) - wanted).abs() < 1e-12,
                "{exact} {rounded}"
            );
        }
        let head = |features: Tensor<2>| {
            let logits = whole_network.forward_range(done..stages.len(), features.into());
            Tensor::<2>::of(logits)
        };
        // The weights of the head are its outputs for unit vectors, less its bias.
        let zero = head(Tensor::zeros([1, 64], &device));
        let weights = head(Tensor::eye(64, &device)) - zero;
        let most = values(exact.clone().abs().matmul(weights.abs()) * 2.0_f32.powi(-11));
        let difference = values(head(exact) - head(rounded));
        assert!(difference.iter().any(|value| *value != 0.0));
        for (difference, most) in difference.iter().zip(most) {
            assert!(difference.abs() <= most + 1e-6, "{difference} {most}");
        }
    }

    #[test]
    fn a_feature_beyond_the_range_of_f16_is_an_error_only_with_f16() {
        let network = Architecture::find("resnet8-64").unwrap();
        let network = network.build(5, 0, &Device::flex());
        let whole_network = network.staged().unwrap();
        let stages = whole_network.stages();
        assert!(computed(&stages, FeatureDtype::F32, 1e8).unwrap().is_some());
        let outcome = computed(&stages, FeatureDtype::F16, 1e8);
        let Err(TrainingError::TooLarge(value)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(value > 65504.0);
    }
}
