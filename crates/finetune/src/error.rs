//! What goes wrong in a run.

/// A wrong call, for example a setting out of its range.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
