//! How far a download is.

use std::fmt;
use std::sync::Arc;

/// How far the download of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The file's path in its repository.
    pub file: String,
    /// Bytes that are here.
    pub bytes: u64,
    /// Bytes that it has.
    pub of: u64,
}

/// What is told about downloads, from any thread.
#[derive(Clone)]
pub struct OnProgress(Arc<dyn Fn(&Progress) + Send + Sync>);

impl OnProgress {
    /// Calls `each` as a file grows.
    pub fn new(each: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(each))
    }

    /// Tells how far it is.
    pub fn tell(&self, progress: &Progress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnProgress").finish_non_exhaustive()
    }
}
