//! Where features are cached, and how many of them fit there.

use finetune_data::store::{ByteStore, free_memory};
use finetune_data::{DataError, Images};

use crate::error::TrainingError;
use crate::recipe::{FeatureCache, FeatureDtype, Recipe};

/// Bytes that features may take in memory even if a file has room for them.
const SMALL: u64 = 64 << 20;

/// The largest numbers of bytes that features may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Features up to this size stay in memory even if a file has room for them.
    small: u64,
    file: u64,
    memory: u64,
}

/// Empty storage for the features of a run's images.
#[derive(Debug)]
pub(super) struct Placement {
    /// The number of stages whose output is cached.
    pub(super) stages: usize,
    pub(super) train: Storage,
    pub(super) valid: Storage,
}

/// Storage for the features of a set of images.
#[derive(Debug)]
pub(super) struct Storage {
    store: ByteStore,
    /// The size of all its features when it is complete, in bytes.
    bytes: u64,
    on_failure: OnFailure,
    dtype: FeatureDtype,
}

/// What happens if a file cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// The run ends with the error.
    Fail,
    /// The features move to memory.
    MoveToMemory,
    /// Nothing is cached.
    GiveUp,
}

impl Room {
    fn of(cache: FeatureCache, images: &Images) -> Self {
        /// For systems that do not tell how much memory is free.
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

    /// The largest number of stages whose output fits, and the size of that output. `sizes` holds
    /// the size of each stage's output in bytes.
    fn deepest(&self, sizes: &[u64]) -> Option<(usize, u64)> {
        let most = self.file.max(self.memory);
        let index = sizes.iter().rposition(|bytes| *bytes <= most)?;
        Some((index + 1, sizes[index]))
    }

    /// Whether features of this size, which fit somewhere, belong in a file.
    fn is_for_file(&self, bytes: u64) -> bool {
        bytes > self.small && bytes <= self.file
    }
}

impl Placement {
    /// Finds room for the features of `counts` images, of the training and the validation set,
    /// behind as many stages as possible. `sizes` holds the size of one image's features behind
    /// each stage, in bytes. `None` if there is no room for any.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Data`] if a file is required and cannot be created.
    pub(super) fn find(
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
            let on_failure = match cache {
                FeatureCache::Auto if bytes <= room.memory => OnFailure::MoveToMemory,
                FeatureCache::Auto if dtype == FeatureDtype::F32 => OnFailure::GiveUp,
                _ => OnFailure::Fail,
            };
            let in_file = room.is_for_file(bytes);
            let storage = |count: usize| {
                let bytes = sizes[stages - 1] * count as u64;
                let store = if in_file {
                    images.byte_store_in_file()?
                } else {
                    ByteStore::in_memory(usize::try_from(bytes).unwrap_or(0))
                };
                Ok(Storage {
                    store,
                    bytes,
                    on_failure,
                    dtype,
                })
            };
            let both = storage(counts[0]).and_then(|train| Ok((train, storage(counts[1])?)));
            match both {
                Ok((train, valid)) => {
                    return Ok(Some(Self {
                        stages,
                        train,
                        valid,
                    }));
                }
                Err(error) if on_failure == OnFailure::Fail => return Err(error),
                // Try again without files.
                Err(_) => room.file = 0,
            }
        }
    }
}

fn total(counts: [usize; 2]) -> u64 {
    counts.iter().map(|count| *count as u64).sum()
}

impl Storage {
    /// Appends values; `None` if they cannot be stored and the run goes on without a cache.
    ///
    /// # Errors
    ///
    /// [`TrainingError::TooLarge`], or [`TrainingError::Data`] if a required file cannot be
    /// written.
    pub(super) fn push(mut self, values: &[f32]) -> Result<Option<Self>, TrainingError> {
        let bytes = self.dtype.encode(values).map_err(TrainingError::TooLarge)?;
        let Err(error) = self.store.push(&bytes) else {
            return Ok(Some(self));
        };
        match self.on_failure {
            OnFailure::Fail => Err(error.into()),
            OnFailure::GiveUp => Ok(None),
            OnFailure::MoveToMemory => {
                let room = usize::try_from(self.bytes).unwrap_or(0);
                self.store = self.store.into_memory(room)?;
                self.store.push(&bytes)?;
                Ok(Some(self))
            }
        }
    }

    /// The bytes that were stored, and how they encode values.
    pub(super) fn into_parts(self) -> (ByteStore, FeatureDtype) {
        (self.store, self.dtype)
    }

    /// Storage in memory whose failures are errors.
    #[cfg(test)]
    pub(super) fn in_memory(dtype: FeatureDtype) -> Self {
        Self {
            store: ByteStore::in_memory(0),
            bytes: 0,
            on_failure: OnFailure::Fail,
            dtype,
        }
    }
}

#[cfg(test)]
mod tests {
    use finetune_data::{Preprocess, embedded_signs};

    use super::*;
    use crate::recipe::Optimizer;

    const MIB: u64 = 1 << 20;

    fn images() -> Images {
        let set = embedded_signs().train.take_per_class(1, 0);
        set.decode(&Preprocess::square(8)).unwrap()
    }

    #[test]
    fn small_features_are_stored_in_memory_and_larger_ones_where_there_is_space() {
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
        // The output of the last frozen stage is stored in memory.
        assert_eq!(place(room(1000, 1000), &sizes), Some((3, false)));
        // With one more byte it is stored in a file, if there is space.
        let larger = [600 * MIB, 64 * MIB + 1];
        assert_eq!(place(room(1000, 1000), &larger), Some((2, true)));
        assert_eq!(place(room(64, 1000), &larger), Some((2, false)));
        assert_eq!(place(room(0, 64), &larger), None);
        // An earlier stage may have a smaller output, which is stored if the later one does not
        // fit.
        let grows = [100 * MIB, 500 * MIB];
        assert_eq!(place(room(100, 99), &grows), Some((1, true)));
        assert_eq!(place(room(99, 99), &grows), None);
        assert_eq!(place(room(99, 500), &grows), Some((2, false)));
    }

    #[test]
    fn each_setting_limits_memory_and_files() {
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
    fn the_features_of_all_images_together_decide_between_memory_and_file() {
        let place = |size| {
            let recipe = Recipe {
                feature_cache: FeatureCache::Auto,
                ..Recipe::new(Optimizer::Adam, 0.001)
            };
            let found = Placement::find(&recipe, &[size], &images(), [5, 3]).unwrap();
            found.unwrap().train.store.is_file()
        };
        // 8 images: as much as is small, and 8 bytes more.
        assert!(!place(SMALL / 8));
        assert!(place(SMALL / 8 + 1));
    }

    #[test]
    fn training_and_validation_images_have_separate_storage() {
        let find = |feature_cache| {
            let recipe = Recipe {
                feature_cache,
                ..Recipe::new(Optimizer::Adam, 0.001)
            };
            Placement::find(&recipe, &[400, 100], &images(), [5, 3])
        };
        let place = find(FeatureCache::File).unwrap().unwrap();
        assert_eq!(place.stages, 2);
        assert!(place.train.store.is_file() && place.valid.store.is_file());
        assert_eq!((place.train.bytes, place.valid.bytes), (500, 300));
        assert_eq!(place.train.on_failure, OnFailure::Fail);
        let place = find(FeatureCache::Auto).unwrap().unwrap();
        assert!(!place.train.store.is_file());
        assert_eq!(place.train.on_failure, OnFailure::MoveToMemory);
        assert!(find(FeatureCache::Off).unwrap().is_none());
    }
}
