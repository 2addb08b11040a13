//! What all formats of PyTorch come to.

use std::collections::HashMap;

use super::storage::Place;
use crate::weights::pickle::Contents;

/// What a file contains, and where its storages are.
pub(super) struct Opened {
    pub contents: Contents,
    pub places: HashMap<String, Place>,
}

/// Says that the numbers are in another order of bytes.
pub(super) fn big_endian() -> String {
    "it was written on a computer with big-endian numbers; load it with torch.load and save it again"
        .to_owned()
}
