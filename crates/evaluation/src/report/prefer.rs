//! What counts besides accuracy when a method is recommended.

use serde::{Deserialize, Serialize};

use super::side_by_side::Measured;

/// What counts besides accuracy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefer {
    /// Memory, training time and file size together (their geometric mean), among methods at most one
    /// point less accurate than the best.
    #[default]
    Balance,
    /// Nothing, except among equally accurate methods.
    Accuracy,
    /// Peak memory, among methods at most three points less accurate.
    Memory,
    /// Training time, among methods at most three points less accurate.
    Speed,
    /// The size of the file, among methods at most three points less accurate.
    Size,
}

impl Prefer {
    /// How much less accurate than the best a method may be, as a share.
    pub(super) fn margin(self) -> f64 {
        match self {
            Self::Accuracy => 0.0,
            Self::Balance => 0.01,
            Self::Memory | Self::Speed | Self::Size => 0.03,
        }
    }

    /// What the rule was, as the end of a sentence about the most accurate method.
    pub(super) fn none_is_better(self, measured: Measured) -> &'static str {
        match (self, measured) {
            (Self::Balance, Measured::Differently) => {
                "no method within one point of it needs less memory and file size together (times were \
                 not measured alike)"
            }
            (Self::Speed, Measured::Differently) => "how fast methods train was not measured alike",
            (Self::Accuracy, _) => "no method is as accurate",
            (Self::Balance, _) => {
                "no method within one point of it needs less memory, time and file size together"
            }
            (Self::Memory, _) => "no method within three points of it needs less memory",
            (Self::Speed, _) => "no method within three points of it trains faster",
            (Self::Size, _) => "no method within three points of it has a smaller file",
        }
    }
}
