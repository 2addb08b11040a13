//! Lines of manifests, and what is wrong with them.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use finetune_files::{quoted_path, shortened};

use crate::error::DataError;

/// The most characters of what is wrong.
const LONGEST: usize = 2000;

/// One line of a manifest.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) path: String,
    pub(super) label: String,
    /// What the column of the parts says; lines share the few texts.
    pub(super) part: Option<Arc<str>>,
    /// What the column of the groups says, if it is not empty; lines share the texts.
    pub(super) group: Option<Arc<str>>,
}

/// The error of a manifest, or of one of its lines.
pub(super) fn error(manifest: &Path, line: Option<u64>, reason: impl Display) -> DataError {
    let name = quoted_path(manifest);
    DataError::Manifest {
        place: match line {
            Some(line) => format!("{name}, line {line}"),
            None => name,
        },
        reason: shortened(&reason.to_string(), LONGEST).into_owned(),
    }
}
