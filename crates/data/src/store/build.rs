//! Decoding all images of a set once.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::disk::{self, Writer};
use super::limit::keep_within;
use super::{Kept, Store};
use crate::check::Broken;
use crate::error::DataError;
use crate::images::decode::look;
use crate::images::prepare::{Keep, Preprocess, prepare};
use crate::sources::set::{ImageSet, Source};
use crate::store::pipeline::{Cache, OnBadImage, Pipeline};

/// A store, and what became of the images.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) store: Store,
    /// Which images of the set it holds.
    pub(crate) used: Vec<bool>,
    /// The others.
    pub(crate) skipped: Vec<Broken>,
    /// What a person should know.
    pub(crate) note: Option<String>,
}

/// Images that are decoded before they are put away: bounds memory.
const AT_ONCE: usize = 128;

/// Decodes the images of a set and keeps them as the pipeline says.
pub(crate) fn build(
    set: &ImageSet,
    preprocess: &Preprocess,
    keep: Keep,
    pipeline: &Pipeline,
    pool: &ThreadPool,
) -> Result<Built, DataError> {
    let work = Work {
        set,
        preprocess,
        keep,
        skip: pipeline.on_bad_image == OnBadImage::Skip,
        pool,
    };
    let bytes = preprocess.kept_bytes(keep) * set.len() as u64;
    match pipeline.cache {
        Cache::Memory => work.in_memory(),
        Cache::Auto if bytes <= pipeline.budget() => work.in_memory(),
        Cache::Disk => work.on_disk(pipeline),
        Cache::Auto => match work.on_disk(pipeline) {
            Err(error @ DataError::Cache { .. }) => {
                let built = work.nowhere()?;
                let note = format!("{error}; images are decoded anew for each batch instead");
                Ok(Built {
                    note: Some(note),
                    ..built
                })
            }
            outcome => outcome,
        },
        Cache::None => work.nowhere(),
    }
}

struct Work<'a> {
    set: &'a ImageSet,
    preprocess: &'a Preprocess,
    keep: Keep,
    skip: bool,
    pool: &'a ThreadPool,
}

impl Work<'_> {
    fn in_memory(&self) -> Result<Built, DataError> {
        let mut images = Vec::with_capacity(self.set.len());
        let outcomes = self.each(
            |source| prepare(source, self.preprocess, self.keep),
            |image| {
                images.push(image);
                Ok(())
            },
        )?;
        Ok(self.built(Kept::Memory(images), outcomes))
    }

    fn on_disk(&self, pipeline: &Pipeline) -> Result<Built, DataError> {
        let path = disk::path(self.set, self.preprocess, self.keep, pipeline)?;
        if let Some((file, used)) = disk::File::open(&path, self.set.len())? {
            // The file says which images could not be used, their own files still say why.
            keep_within(&pipeline.folder, pipeline.limit());
            let outcomes = self.reasons(&used)?;
            return Ok(self.built(Kept::Disk(file), outcomes));
        }
        let mut writer = Writer::new(&path, self.set.len())?;
        let outcomes = self.each(
            |source| prepare(source, self.preprocess, self.keep),
            |image| writer.push(&image),
        )?;
        let used: Vec<bool> = outcomes.iter().map(Option::is_none).collect();
        let file = writer.finish(&used)?;
        keep_within(&pipeline.folder, pipeline.limit());
        let mut built = self.built(Kept::Disk(file), outcomes);
        built.note = Some(format!("decoded images are kept in {}", path.display()));
        Ok(built)
    }

    /// Images are looked at before they are needed: to leave out what cannot be used they are decoded
    /// once, otherwise their headers have to do.
    fn nowhere(&self) -> Result<Built, DataError> {
        let outcomes = if self.skip {
            self.each(
                |source| prepare(source, self.preprocess, self.keep).map(|_| ()),
                Ok,
            )?
        } else {
            self.each(
                |source| look(source, self.preprocess.max_pixels).map(|_| ()),
                Ok,
            )?
        };
        let samples = self.set.samples.iter().zip(&outcomes);
        let sources = samples
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(sample, _)| sample.source.clone())
            .collect();
        Ok(self.built(Kept::Nothing(sources), outcomes))
    }

    /// Does `work` on every source in parallel and hands the results on in order. Returns the reason
    /// of each that failed, or the first where none may.
    fn each<T: Send>(
        &self,
        work: impl Fn(&Source) -> Result<T, DataError> + Sync,
        mut take: impl FnMut(T) -> Result<(), DataError>,
    ) -> Result<Vec<Option<Broken>>, DataError> {
        let mut outcomes = Vec::with_capacity(self.set.len());
        for samples in self.set.samples.chunks(AT_ONCE) {
            let found: Vec<Result<T, DataError>> = self.pool.install(|| {
                let samples = samples.par_iter().with_max_len(1);
                samples.map(|sample| work(&sample.source)).collect()
            });
            // In the samples' order, so that the same image is named whatever the threads do.
            for (outcome, sample) in found.into_iter().zip(samples) {
                outcomes.push(match outcome {
                    Ok(image) => {
                        take(image)?;
                        None
                    }
                    Err(error) if self.skip => Some(Broken {
                        image: sample.source.name(),
                        reason: error.to_string(),
                    }),
                    Err(error) => return Err(error),
                });
            }
        }
        Ok(outcomes)
    }

    /// Why images could not be used.
    fn reasons(&self, used: &[bool]) -> Result<Vec<Option<Broken>>, DataError> {
        let pairs = self.set.samples.iter().zip(used);
        let reason = |(sample, used): (&crate::sources::set::Sample, &bool)| {
            if *used {
                return Ok(None);
            }
            match prepare(&sample.source, self.preprocess, self.keep) {
                Err(error) if !self.skip => Err(error),
                outcome => Ok(Some(Broken {
                    image: sample.source.name(),
                    reason: outcome.map_or_else(
                        |error| error.to_string(),
                        |_| "it could not be read before".to_owned(),
                    ),
                })),
            }
        };
        pairs.map(reason).collect()
    }

    fn built(&self, kept: Kept, outcomes: Vec<Option<Broken>>) -> Built {
        Built {
            store: Store {
                preprocess: *self.preprocess,
                keep: self.keep,
                kept,
            },
            used: outcomes.iter().map(Option::is_none).collect(),
            skipped: outcomes.into_iter().flatten().collect(),
            note: None,
        }
    }
}
