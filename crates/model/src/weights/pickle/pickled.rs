//! A tensor of a pickle.

use super::number::Number;

/// A tensor of a pickle: where its numbers are, in which layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::weights) struct Pickled {
    pub number: Number,
    /// The name of its storage.
    pub storage: String,
    /// Its first number in the storage.
    pub offset: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}
