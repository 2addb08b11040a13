//! What this crate must know of a format of data sets.

use std::path::Path;

use super::origin::Origin;
use super::set::ImageSet;
use super::splits::{SplitOptions, Splits};
use crate::error::DataError;

/// A format of data sets: one file of this folder, and one row of `FORMATS` in `sources/mod.rs`.
///
/// Most formats read names and labels into [`Parts`](super::parts::Parts), which has both functions
/// that open a data set.
#[derive(Debug)]
pub(crate) struct Format {
    /// What it looks like, for lists of the formats.
    pub(crate) description: &'static str,
    /// Extensions of single files that are data sets of this format, in lower case without the dot.
    pub(crate) extensions: &'static [&'static str],
    /// Whether a directory is a data set of this format.
    pub(crate) is_directory: fn(&Path) -> Result<bool, DataError>,
    /// Opens a file or directory of this format.
    pub(crate) open: fn(&Path, &SplitOptions) -> Result<Splits, DataError>,
    /// Opens its test images: those of its test split if it has one, otherwise all.
    pub(crate) open_test: fn(&Path) -> Result<(ImageSet, Origin), DataError>,
}
