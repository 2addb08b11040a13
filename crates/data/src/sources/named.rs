//! What this crate must know of a data set that is opened by its name.

use super::set::ImageSet;
use super::splits::{SplitOptions, Splits};
use crate::error::DataError;

/// A data set that is opened by its name instead of a path: one file of this folder, and one row of
/// [`NAMED_SETS`](super::NAMED_SETS).
#[derive(Debug)]
pub struct NamedSet {
    /// Its name on the command line.
    pub name: &'static str,
    /// What its images for pretraining show.
    pub pretraining_description: &'static str,
    pub(crate) open: fn() -> Result<Splits, DataError>,
    pub(crate) pretraining: fn() -> Result<ImageSet, DataError>,
}

impl NamedSet {
    /// Opens the data set.
    ///
    /// # Errors
    ///
    /// The data set is not installed or cannot be read, or a fold is asked for that
    /// [`Splits::folded`] rejects.
    pub fn open(&self, options: &SplitOptions) -> Result<Splits, DataError> {
        (self.open)()?.folded(options)
    }

    /// Opens images of other classes than those of [`open`](Self::open), to pretrain a model with.
    ///
    /// # Errors
    ///
    /// The data set is not installed or cannot be read.
    pub fn pretraining(&self) -> Result<ImageSet, DataError> {
        (self.pretraining)()
    }
}
