//! Decoding all images of a set once and storing them.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::disk::{self, Writer};
use super::limit::remove_least_recently_used;
use super::pipeline::{Cache, OnBadImage, Pipeline};
use super::{Contents, Store};
use crate::error::DataError;
use crate::images::prepare::{prepare, prepare_with_checksum};
use crate::images::{Preprocess, StoredSize, UnusableImage, read_header};
use crate::sources::{ImageSet, Sample, Source};

/// A store, and which images of the set are in it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) store: Store,
    /// For each image of the set, whether it is in the store.
    pub(crate) used: Vec<bool>,
    /// The images that are not.
    pub(crate) skipped: Vec<UnusableImage>,
    /// For each image of the set, a checksum of its file, if it was read.
    pub(crate) checksums: Vec<Option<u32>>,
    /// A message to the user.
    pub(crate) note: Option<String>,
}

/// Images that are decoded before they are stored; bounds memory.
const AT_ONCE: usize = 128;

/// Receives the number of images that are decoded so far.
pub(crate) type Decoded<'a> = &'a mut dyn FnMut(usize);

/// Decodes the images of a set and stores them as `pipeline` says.
pub(crate) fn build(
    set: &ImageSet,
    preprocess: &Preprocess,
    size: StoredSize,
    pipeline: &Pipeline,
    pool: &ThreadPool,
    decoded: Decoded<'_>,
) -> Result<Built, DataError> {
    preprocess.check()?;
    let work = Work {
        set,
        preprocess,
        size,
        skip: pipeline.on_bad_image == OnBadImage::Skip,
        pool,
    };
    let bytes = preprocess
        .stored_bytes(size)
        .saturating_mul(set.len() as u64);
    match pipeline.cache {
        Cache::Memory => work.in_memory(decoded),
        Cache::Auto if bytes <= pipeline.budget() => work.in_memory(decoded),
        Cache::Disk => work.on_disk(pipeline, decoded),
        Cache::Auto => match work.on_disk(pipeline, decoded) {
            Err(error @ DataError::Cache { .. }) => {
                let built = work.nowhere(decoded)?;
                let note = format!("{error}; images are decoded again for each batch instead");
                Ok(Built {
                    note: Some(note),
                    ..built
                })
            }
            outcome => outcome,
        },
        Cache::None => work.nowhere(decoded),
    }
}

struct Work<'a> {
    set: &'a ImageSet,
    preprocess: &'a Preprocess,
    size: StoredSize,
    /// Whether unusable images are left out instead of being an error.
    skip: bool,
    pool: &'a ThreadPool,
}

impl Work<'_> {
    fn in_memory(&self, decoded: Decoded<'_>) -> Result<Built, DataError> {
        let mut images = Vec::with_capacity(self.set.len());
        let mut checksums = Vec::with_capacity(self.set.len());
        let outcomes = self.each(
            |source| prepare_with_checksum(source, self.preprocess, self.size),
            |(image, checksum)| {
                images.push(image);
                checksums.push(checksum);
                Ok(())
            },
            decoded,
        )?;
        Ok(self.built(Contents::Memory(images), outcomes, &checksums))
    }

    fn on_disk(&self, pipeline: &Pipeline, decoded: Decoded<'_>) -> Result<Built, DataError> {
        let path = disk::path(self.set, self.preprocess, self.size, pipeline)?;
        if let Some((file, used)) = disk::File::open(&path, self.set.len())? {
            // The cache file says which images are unusable, only the images themselves say why.
            remove_least_recently_used(&pipeline.folder, pipeline.limit());
            let outcomes = self.reasons(&used)?;
            let checksums = file.checksums();
            return Ok(self.built(Contents::Disk(file), outcomes, &checksums));
        }
        let mut writer = Writer::new(&path, self.set.len())?;
        let outcomes = self.each(
            |source| prepare_with_checksum(source, self.preprocess, self.size),
            |(image, checksum)| writer.push(&image, checksum),
            decoded,
        )?;
        let used: Vec<bool> = outcomes.iter().map(Option::is_none).collect();
        let file = writer.finish(&used)?;
        remove_least_recently_used(&pipeline.folder, pipeline.limit());
        let checksums = file.checksums();
        let mut built = self.built(Contents::Disk(file), outcomes, &checksums);
        built.note = Some(format!("decoded images are cached in {}", path.display()));
        Ok(built)
    }

    /// Stores nothing, but checks the images: if unusable ones are to be left out every image is decoded
    /// once, otherwise only the headers are read.
    fn nowhere(&self, decoded: Decoded<'_>) -> Result<Built, DataError> {
        let mut checksums = Vec::new();
        let outcomes = if self.skip {
            self.each(
                |source| {
                    let prepared = prepare_with_checksum(source, self.preprocess, self.size);
                    prepared.map(|(_, checksum)| checksum)
                },
                |checksum| {
                    checksums.push(checksum);
                    Ok(())
                },
                decoded,
            )?
        } else {
            self.each(
                |source| read_header(source, self.preprocess.max_pixels).map(|_| ()),
                Ok,
                decoded,
            )?
        };
        let samples = self.set.samples.iter().zip(&outcomes);
        let sources = samples
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(sample, _)| sample.source.clone())
            .collect();
        Ok(self.built(Contents::Sources(sources), outcomes, &checksums))
    }

    /// Does `work` on every image in parallel and passes the results to `take` in order. Returns why
    /// each failed image failed, or the first error if unusable images are not left out.
    fn each<T: Send>(
        &self,
        work: impl Fn(&Source) -> Result<T, DataError> + Sync,
        mut take: impl FnMut(T) -> Result<(), DataError>,
        decoded: Decoded<'_>,
    ) -> Result<Vec<Option<UnusableImage>>, DataError> {
        let mut outcomes = Vec::with_capacity(self.set.len());
        for samples in self.set.samples.chunks(AT_ONCE) {
            let found: Vec<Result<T, DataError>> = self.pool.install(|| {
                let samples = samples.par_iter().with_max_len(1);
                samples.map(|sample| work(&sample.source)).collect()
            });
            // In the order of the images, so that the first error does not depend on the threads.
            for (outcome, sample) in found.into_iter().zip(samples) {
                outcomes.push(match outcome {
                    Ok(image) => {
                        take(image)?;
                        None
                    }
                    Err(error) if self.skip => Some(UnusableImage {
                        image: sample.source.name(),
                        reason: error.to_string(),
                    }),
                    Err(error) => return Err(error),
                });
            }
            decoded(outcomes.len());
        }
        Ok(outcomes)
    }

    /// Finds out why the images that are not used cannot be used.
    fn reasons(&self, used: &[bool]) -> Result<Vec<Option<UnusableImage>>, DataError> {
        let pairs = self.set.samples.iter().zip(used);
        let reason = |(sample, used): (&Sample, &bool)| {
            if *used {
                return Ok(None);
            }
            match prepare(&sample.source, self.preprocess, self.size) {
                Err(error) if !self.skip => Err(error),
                outcome => Ok(Some(UnusableImage {
                    image: sample.source.name(),
                    reason: outcome.map_or_else(
                        |error| error.to_string(),
                        |_| "it could not be read when the cache was written".to_owned(),
                    ),
                })),
            }
        };
        pairs.map(reason).collect()
    }

    /// What was built, with the checksums of the usable images as far as there are any.
    fn built(
        &self,
        contents: Contents,
        outcomes: Vec<Option<UnusableImage>>,
        checksums: &[Option<u32>],
    ) -> Built {
        let mut known = checksums.iter();
        let checksums = outcomes.iter().map(|outcome| match outcome {
            None => known.next().copied().flatten(),
            Some(_) => None,
        });
        Built {
            checksums: checksums.collect(),
            store: Store {
                preprocess: *self.preprocess,
                size: self.size,
                contents,
            },
            used: outcomes.iter().map(Option::is_none).collect(),
            skipped: outcomes.into_iter().flatten().collect(),
            note: None,
        }
    }
}
