//! Where decoded images are kept: in memory, in a file, or nowhere.

mod build;
mod disk;
mod limit;
pub(crate) mod pipeline;
pub(crate) mod shelf;

use std::borrow::Cow;

pub(crate) use build::{Built, build};

use self::disk::File;
use crate::error::DataError;
use crate::images::prepare::{Keep, Preprocess, Raster, prepare};
use crate::sources::set::Source;

/// The images of a set that can be used, in its order.
#[derive(Debug)]
pub(crate) struct Store {
    preprocess: Preprocess,
    keep: Keep,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<Raster>),
    Disk(File),
    Nothing(Vec<Source>),
}

impl Store {
    /// What is kept of an image.
    pub(crate) fn get(&self, index: usize) -> Result<Cow<'_, Raster>, DataError> {
        match &self.kept {
            Kept::Memory(images) => Ok(Cow::Borrowed(&images[index])),
            Kept::Disk(file) => file.read(index).map(Cow::Owned),
            Kept::Nothing(sources) => {
                prepare(&sources[index], &self.preprocess, self.keep).map(Cow::Owned)
            }
        }
    }

    /// An image as the model takes it.
    pub(crate) fn fitted(&self, index: usize) -> Result<Cow<'_, Raster>, DataError> {
        let image = self.get(index)?;
        match self.keep {
            Keep::Fitted => Ok(image),
            Keep::Whole => self
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
