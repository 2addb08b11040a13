//! Where features are kept, and reading them back.

use burn::Tensor;
use burn::tensor::{Device, TensorData};
use finetune_data::{Batch, DataError, Images, Shelf, free_memory};
use finetune_model::{Features, Stage};

use crate::error::TrainingError;
use crate::features::dtype::FeatureDtype;
use crate::features::frozen::{Given, Input};
use crate::recipe::{FeatureCache, Recipe};

/// Features that take no more than this stay in memory, where there is a choice, bytes.
const SMALL: u64 = 64 << 20;

/// Most bytes that features may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Up to this in memory, beyond it in a file where that has room.
    small: u64,
    file: u64,
    memory: u64,
}

/// Room for the features of the images, on empty shelves.
#[derive(Debug)]
pub(crate) struct Place {
    /// How many stages' work is kept.
    pub(crate) stages: usize,
    pub(crate) train: Spot,
    pub(crate) valid: Spot,
}

/// A shelf, and what happens where its file cannot be written.
#[derive(Debug)]
pub(crate) struct Spot {
    shelf: Shelf,
    /// Bytes that it will hold.
    bytes: u64,
    full: Full,
    dtype: FeatureDtype,
}

/// What happens where a file cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// It is an error.
    Fails,
    /// Memory takes the features.
    Moves,
    /// Nothing is kept.
    Leaves,
}

/// The features of some images, in their order.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Stages that made them.
    stages: usize,
    /// Axes of one image's.
    shape: Vec<usize>,
    dtype: FeatureDtype,
    shelf: Shelf,
    labels: Vec<i64>,
}

/// The features of some images from a place on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    kept: &'a Kept,
    first: usize,
}

impl Room {
    fn of(cache: FeatureCache, images: &Images) -> Self {
        const UNKNOWN: u64 = 1 << 30;
        let memory = free_memory().map_or(UNKNOWN, |free| free / 4);
        let file = images.file_room();
        let (small, file, memory) = match cache {
            FeatureCache::Auto => (SMALL.min(memory), file, memory),
            FeatureCache::Memory => (memory, 0, memory),
            FeatureCache::File => (0, file, 0),
            FeatureCache::Off => (0, 0, 0),
        };
        Self {
            small,
            file,
            memory,
        }
    }

    /// How many stages' work fits, as many as can be, and its bytes; `sizes` are those behind each
    /// stage.
    fn deepest(&self, sizes: &[u64]) -> Option<(usize, u64)> {
        let most = self.file.max(self.memory);
        let index = sizes.iter().rposition(|bytes| *bytes <= most)?;
        Some((index + 1, sizes[index]))
    }

    /// Whether so many bytes that fit are to be in a file.
    fn is_for_file(&self, bytes: u64) -> bool {
        bytes > self.small && bytes <= self.file
    }
}

impl Place {
    /// The best one for the features of so many images, to learn from and for validation; `sizes` are
    /// the bytes of one image's behind each stage. `None` where none has room.
    ///
    /// # Errors
    ///
    /// A file that is asked for and cannot be made.
    pub(crate) fn find(
        recipe: &Recipe,
        sizes: &[u64],
        images: &Images,
        counts: [usize; 2],
    ) -> Result<Option<Self>, DataError> {
        let all: Vec<u64> = sizes.iter().map(|size| size * total(counts)).collect();
        let (cache, dtype) = (recipe.feature_cache, recipe.feature_dtype);
        let mut room = Room::of(cache, images);
        loop {
            let Some((stages, bytes)) = room.deepest(&all) else {
                return Ok(None);
            };
            let full = match cache {
                FeatureCache::Auto if bytes <= room.memory => Full::Moves,
                FeatureCache::Auto if dtype == FeatureDtype::F32 => Full::Leaves,
                _ => Full::Fails,
            };
            let in_file = room.is_for_file(bytes);
            let spot = |count: usize| {
                let bytes = sizes[stages - 1] * count as u64;
                let shelf = if in_file {
                    images.shelf_in_file()?
                } else {
                    Shelf::in_memory(usize::try_from(bytes).unwrap_or(0))
                };
                Ok(Spot {
                    shelf,
                    bytes,
                    full,
                    dtype,
                })
            };
            let spots = spot(counts[0]).and_then(|train| Ok((train, spot(counts[1])?)));
            match spots {
                Ok((train, valid)) => {
                    return Ok(Some(Self {
                        stages,
                        train,
                        valid,
                    }));
                }
                Err(error) if full == Full::Fails => return Err(error),
                // Without files.
                Err(_) => room.file = 0,
            }
        }
    }
}

fn total(counts: [usize; 2]) -> u64 {
    counts.iter().map(|count| *count as u64).sum()
}

impl Spot {
    /// Puts values behind the others; `None` where they have no room after all.
    fn push(mut self, values: &[f32]) -> Result<Option<Self>, TrainingError> {
        let bytes = self.dtype.encode(values).map_err(TrainingError::TooLarge)?;
        let Err(error) = self.shelf.push(&bytes) else {
            return Ok(Some(self));
        };
        match self.full {
            Full::Fails => Err(error.into()),
            Full::Leaves => Ok(None),
            Full::Moves => {
                let room = usize::try_from(self.bytes).unwrap_or(0);
                self.shelf = self.shelf.into_memory(room)?;
                self.shelf.push(&bytes)?;
                Ok(Some(self))
            }
        }
    }
}

impl Kept {
    /// Runs the stages over all images; `None` where `seen` says so after a batch, where they do not
    /// compute in `f32`, or where a file that was not asked for cannot be written.
    pub(crate) fn compute(
        stages: &[Stage<'_>],
        batches: impl Iterator<Item = Result<Batch, DataError>>,
        mut spot: Spot,
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
            let Some(pushed) = spot.push(values)? else {
                return Ok(None);
            };
            spot = pushed;
            labels.extend(batch.labels.into_data().iter::<i64>());
            if !seen(data.shape()[0]) {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            stages: stages.len(),
            shape,
            dtype: spot.dtype,
            shelf: spot.shelf,
            labels,
        }))
    }

    /// Bytes that they take, and how many of them are in a file.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let bytes = self.shelf.len();
        (bytes, if self.shelf.is_file() { bytes } else { 0 })
    }

    pub(crate) fn dtype(&self) -> FeatureDtype {
        self.dtype
    }

    /// How many images they are of.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Those from the `first`-th image on.
    pub(crate) fn from(&self, first: usize) -> View<'_> {
        View { kept: self, first }
    }
}

impl View<'_> {
    /// The features of those images.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub(crate) fn batch(&self, indices: &[usize], device: &Device) -> Result<Input, DataError> {
        let kept = self.kept;
        let size: usize = kept.shape.iter().product();
        let bytes = kept.dtype.size() * size;
        let mut values = Vec::with_capacity(indices.len() * size);
        let mut labels = Vec::with_capacity(indices.len());
        for index in indices {
            let index = self.first + index;
            let read = kept.shelf.read(index as u64 * bytes as u64, bytes)?;
            kept.dtype.decode(&read, &mut values);
            labels.push(kept.labels[index]);
        }
        let shape = [&[indices.len()], kept.shape.as_slice()].concat();
        let features = Features::from_data(TensorData::new(values, shape), device);
        Ok(Input {
            given: Given::Features(kept.stages, features),
            labels: Tensor::from_data(TensorData::new(labels, [indices.len()]), device),
            soft: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use finetune_data::{Loader, Order, Preprocess, embedded_signs};
    use finetune_model::{Architecture, Feature};

    use super::*;
    use crate::classifier::Classifier;
    use crate::recipe::Optimizer;

    const MIB: u64 = 1 << 20;

    fn images() -> Images {
        let set = embedded_signs().train.take_per_class(1, 0);
        set.decode(&Preprocess::square(8)).unwrap()
    }

    #[test]
    fn small_features_stay_in_memory_and_larger_ones_go_where_there_is_room() {
        let room = |file, memory| Room {
            small: SMALL.min(memory * MIB),
            file: file * MIB,
            memory: memory * MIB,
        };
        let sizes = [600 * MIB, 200 * MIB, 64 * MIB];
        let place = |room: Room, sizes: &[u64]| {
            let (stages, bytes) = room.deepest(sizes)?;
            Some((stages, room.is_for_file(bytes)))
        };
        // The last of the frozen stages, in memory.
        assert_eq!(place(room(1000, 1000), &sizes), Some((3, false)));
        // A byte more is too much for memory, but only where a file has room.
        let larger = [600 * MIB, 64 * MIB + 1];
        assert_eq!(place(room(1000, 1000), &larger), Some((2, true)));
        assert_eq!(place(room(64, 1000), &larger), Some((2, false)));
        assert_eq!(place(room(0, 64), &larger), None);
        // A stage before has less to keep: a network may grow again.
        let grows = [100 * MIB, 500 * MIB];
        assert_eq!(place(room(100, 99), &grows), Some((1, true)));
        assert_eq!(place(room(99, 99), &grows), None);
        assert_eq!(place(room(99, 500), &grows), Some((2, false)));
    }

    #[test]
    fn each_setting_has_its_room() {
        let images = images();
        let of = |cache| Room::of(cache, &images);
        let auto = of(FeatureCache::Auto);
        assert_eq!(auto.small, SMALL.min(auto.memory));
        assert!(auto.file > 0 && auto.memory > 0);
        let memory = of(FeatureCache::Memory);
        assert_eq!((memory.file, memory.small), (0, memory.memory));
        let file = of(FeatureCache::File);
        assert_eq!((file.small, file.memory), (0, 0));
        assert!(file.is_for_file(1));
        let off = of(FeatureCache::Off);
        assert_eq!(off.deepest(&[1]), None);
    }

    #[test]
    fn both_parts_have_their_room() {
        let find = |feature_cache| {
            let recipe = Recipe {
                feature_cache,
                ..Recipe::new(Optimizer::Adam, 0.001)
            };
            Place::find(&recipe, &[400, 100], &images(), [5, 3])
        };
        let place = find(FeatureCache::File).unwrap().unwrap();
        assert_eq!(place.stages, 2);
        assert!(place.train.shelf.is_file() && place.valid.shelf.is_file());
        assert_eq!((place.train.bytes, place.valid.bytes), (500, 300));
        assert_eq!(place.train.full, Full::Fails);
        let place = find(FeatureCache::Auto).unwrap().unwrap();
        assert!(!place.train.shelf.is_file());
        assert_eq!(place.train.full, Full::Moves);
        assert!(find(FeatureCache::Off).unwrap().is_none());
    }

    /// Features of all stages but the last, whose images are these many times brighter.
    fn computed(
        stages: &[Stage<'_>],
        dtype: FeatureDtype,
        brighter: f32,
    ) -> Result<Option<Kept>, TrainingError> {
        let images = images();
        let batches = Loader::new(&images, 2, Order::Sequential).map(|batch| {
            let batch = batch?;
            Ok(Batch {
                images: batch.images * brighter,
                ..batch
            })
        });
        let spot = Spot {
            shelf: Shelf::in_memory(0),
            bytes: 0,
            full: Full::Fails,
            dtype,
        };
        let frozen = &stages[..stages.len() - 1];
        Kept::compute(frozen, batches, spot, &mut |_| true)
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn logits_of_f16_features_are_within_their_rounding() {
        let device = Device::flex();
        let network = Architecture::find("resnet8-64").unwrap();
        let network = network.build(5, 0, &device);
        let whole_network = network.staged().unwrap();
        let stages = whole_network.stages();
        let of = |dtype| {
            let kept = computed(&stages, dtype, 1.0).unwrap().unwrap();
            let bytes = kept.bytes().0;
            let input = kept.from(0).batch(&[0, 1, 2, 3, 4], &device).unwrap();
            let (done, features) = input.given.start();
            (bytes, done, Tensor::<2>::of(features))
        };
        let (whole, done, exact) = of(FeatureDtype::F32);
        let (half, _, rounded) = of(FeatureDtype::F16);
        assert_eq!((whole, half), (5 * 64 * 4, 5 * 64 * 2));
        assert_eq!(done + 1, stages.len());
        // Rounded to multiples of 2^(e - 10), where 2^e is the power of 2 below.
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
        // The head's weights, by what it makes of unit vectors.
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
    fn a_feature_beyond_f16_is_an_error_and_none_of_f32() {
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
