//! An image that cannot be used.

use serde::Serialize;

/// An image that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnusableImage {
    /// Its name.
    pub image: String,
    /// Why it cannot be used.
    pub reason: String,
}
