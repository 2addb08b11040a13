//! Where decoded images are stored: in memory, in a file of the cache folder, or nowhere.

mod build;
mod byte_store;
mod disk;
mod limit;
mod pipeline;

use std::borrow::Cow;
use std::sync::Arc;

use rayon::ThreadPool;

pub(crate) use self::build::{Built, build};
pub use self::byte_store::ByteStore;
pub use self::byte_store::free_disk_space;
use self::disk::File;
pub use self::limit::{CachedFile, cached_files};
pub use self::pipeline::{Cache, OnBadImage, Pipeline, free_memory};
use crate::error::DataError;
use crate::images::prepare::prepare;
use crate::images::raster::Raster;
use crate::images::{Preprocess, StoredSize};
use crate::sources::Source;

/// The usable images of a set, in its order.
#[derive(Debug)]
pub(crate) struct Store {
    preprocess: Preprocess,
    size: StoredSize,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Memory(Vec<Raster>),
    Disk(File),
    /// Nothing is stored: images are decoded whenever they are read.
    Sources(Vec<Source>),
}

/// A store and the threads that read from it.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) store: Arc<Store>,
    pub(crate) pool: Arc<ThreadPool>,
}

impl Store {
    /// An image at the size at which it is stored.
    pub(crate) fn stored(&self, index: usize) -> Result<Cow<'_, Raster>, DataError> {
        match &self.contents {
            Contents::Memory(images) => Ok(Cow::Borrowed(&images[index])),
            Contents::Disk(file) => file.read(index).map(Cow::Owned),
            Contents::Sources(sources) => {
                prepare(&sources[index], &self.preprocess, self.size).map(Cow::Owned)
            }
        }
    }

    /// An image as the model takes it.
    pub(crate) fn fitted(&self, index: usize) -> Result<Cow<'_, Raster>, DataError> {
        let image = self.stored(index)?;
        match self.size {
            StoredSize::Fitted => Ok(image),
            StoredSize::Whole => self
                .preprocess
                .fit(&image)
                .map(Cow::Owned)
                .map_err(|reason| {
                    let name = format!("number {index}");
                    DataError::Image { name, reason }
                }),
        }
    }

    pub(crate) fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }
}
