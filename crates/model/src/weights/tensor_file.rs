//! What the file formats have in common: named tensors of floating-point numbers, read in parts.

use std::collections::BTreeMap;

use half::{bf16, f16};

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F64,
    F32,
    F16,
    Bf16,
}

/// Shape of a tensor, and how its numbers are stored; `None` for integers and the like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub shape: Vec<usize>,
    pub float: Option<Float>,
    /// The file's name of the type, for messages.
    pub dtype: String,
}

/// An open file of tensors.
pub(super) trait Source: Send {
    /// All its tensors by name.
    fn entries(&self) -> &BTreeMap<String, Entry>;

    /// Hands over up to `count` rows of a tensor at a time, as `f32`: the index of the first one,
    /// and the values. Says what is wrong in a phrase.
    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String>;
}

impl Float {
    /// Bytes of a number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Numbers from little-endian bytes, into `values`.
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
    /// The storage, or what to say where it is not of floating-point numbers.
    pub(super) fn float(&self, name: &str) -> Result<Float, String> {
        self.float.ok_or_else(|| {
            format!(
                "tensor `{name}` is of {}, not f32, f16, bf16 or f64",
                self.dtype
            )
        })
    }

    /// Number of rows, and values in each.
    pub(super) fn rows(&self) -> (usize, usize) {
        let rows = self.shape.first().copied().unwrap_or(1);
        (rows, self.shape.iter().skip(1).product())
    }
}
