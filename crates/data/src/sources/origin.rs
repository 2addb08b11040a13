//! What the reader of a format remembers about a data set.

use std::path::{Path, PathBuf};

use super::left_out::LeftOut;

/// What the reader of a format remembers about a data set; the numbers come from the images.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) layout: String,
    /// The folder that names of images are relative to in the fingerprint.
    pub(crate) root: PathBuf,
    /// Where each part came from.
    pub(crate) from: From,
    pub(crate) made: Vec<String>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) notes: Vec<String>,
    /// The most training images per class that were asked for.
    pub(crate) limit: Option<usize>,
}

/// Where each part came from, if it was not split from another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct From {
    pub(crate) train: Option<String>,
    pub(crate) valid: Option<String>,
    pub(crate) test: Option<String>,
}

impl Origin {
    pub(crate) fn new(layout: String, root: &Path) -> Self {
        Self {
            layout,
            root: root.to_owned(),
            ..Self::default()
        }
    }
}
