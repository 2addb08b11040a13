//! What the formats of weights files have in common: named tensors of floating-point numbers, which are
//! read in parts.

use std::collections::BTreeMap;

use finetune_files::quoted;
use half::{bf16, f16};

/// The type of the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F64,
    F32,
    F16,
    Bf16,
}

/// Shape and type of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub shape: Vec<usize>,
    /// The type of its numbers; `None` if they are not floating-point numbers.
    pub float: Option<Float>,
    /// What the file calls the type, for messages.
    pub dtype: &'static str,
    /// Its number in the file.
    pub index: usize,
}

/// An open file of tensors.
pub(super) trait TensorFile: Send {
    /// All tensors by name.
    fn entries(&self) -> &BTreeMap<String, Entry>;

    /// How many numbers of a tensor may be reserved in memory before they are read: all of them, if the file
    /// is large enough to have them. An error is the reason why it cannot be read, in words.
    fn reserve(&self, name: &str) -> Result<usize, String>;

    /// Reads a tensor, `count` rows at a time, and calls `each` with the index of the first of these rows
    /// and their values as `f32`. An error is the reason in words.
    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String>;
}

impl Float {
    /// Bytes per number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Replaces `values` by the numbers in little-endian `bytes`.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn widen(self, bytes: &[u8], values: &mut Vec<f32>) {
        values.clear();
        match self {
            Self::F32 if cfg!(target_endian = "little") => {
                *values = bytemuck::pod_collect_to_vec(bytes);
            }
            Self::F64 => values.extend(
                bytes
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|bytes| f64::from_le_bytes(*bytes) as f32),
            ),
            Self::F32 => values.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes)),
            ),
            Self::F16 => values.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|bytes| f16::from_le_bytes(*bytes).to_f32()),
            ),
            Self::Bf16 => values.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|bytes| bf16::from_le_bytes(*bytes).to_f32()),
            ),
        }
    }
}

impl Entry {
    /// The type of the numbers, or an error if they are not floating-point numbers.
    pub(super) fn float(&self, name: &str) -> Result<Float, String> {
        self.float.ok_or_else(|| {
            format!(
                "its tensor {} is of {}, not f32, f16, bf16 or f64",
                quoted(name),
                self.dtype
            )
        })
    }

    /// Number of rows, and number of values per row.
    pub(super) fn rows(&self) -> (usize, usize) {
        let rows = self.shape.first().copied().unwrap_or(1);
        (rows, self.shape.iter().skip(1).product())
    }
}
