//! Reading weights files (safetensors and PyTorch), which are checked before anything is allocated.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use burn::module::ParamId;
use burn::tensor::Device;

use super::matching::{fit, is_head, is_position_embedding, recognize};
use super::read_pytorch::{PyTorch, is_pytorch};
use super::read_safetensors::SafeTensors;
use super::tensor_file::{Entry, TensorFile};
use crate::error::ModelError;
use crate::networks::Architecture;
use crate::networks::Network;
use crate::networks::init::initialize_head;
use crate::weights::position::resample;
use crate::weights::state_dict::{Slot, apply, slots};

/// An open weights file. The names and shapes of its tensors are known; values are read when they are
/// asked for.
pub struct WeightsFile {
    origin: String,
    tensors: Box<dyn TensorFile>,
    metadata: BTreeMap<String, String>,
}

impl std::fmt::Debug for WeightsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeightsFile")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A network with the weights of a file.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub network: Network,
    /// Whether the head is new: initialised for the classes that were asked for.
    pub new_head: bool,
    /// Messages to the user, one sentence each: a head was replaced, a position embedding was resampled,
    /// weights are not finite.
    pub notes: Vec<String>,
}

/// The head that a loaded network gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The head of the file, which must have the right number of classes.
    Stored,
    /// A new head.
    New {
        /// Seed of the weights.
        seed: u64,
    },
}

impl WeightsFile {
    /// Opens a safetensors or PyTorch file. The first bytes say which of the two it is.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if the file cannot be read, [`ModelError::Format`] if it is neither, is
    /// truncated, or is a pickle without tensors.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let origin = path.display().to_string();
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut start = Vec::new();
        file.by_ref().take(16).read_to_end(&mut start).map_err(io)?;
        if is_pytorch(&start) {
            let tensors = PyTorch::open(path).map_err(|reason| ModelError::Format {
                origin: origin.clone(),
                reason,
            })?;
            return Ok(Self {
                origin,
                tensors: Box::new(tensors),
                metadata: BTreeMap::new(),
            });
        }
        file.rewind().map_err(io)?;
        Self::safetensors(origin, file, length)
    }

    /// Opens a safetensors file in memory. `origin` is its name in messages.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] if the bytes are not a valid safetensors file.
    pub fn from_static(origin: &str, bytes: &'static [u8]) -> Result<Self, ModelError> {
        Self::safetensors(origin.to_owned(), Cursor::new(bytes), bytes.len() as u64)
    }

    fn safetensors(
        origin: String,
        data: impl Read + Seek + Send + 'static,
        length: u64,
    ) -> Result<Self, ModelError> {
        match SafeTensors::open(data, length) {
            Ok((tensors, metadata)) => Ok(Self {
                origin,
                tensors: Box::new(tensors),
                metadata,
            }),
            Err(reason) => Err(ModelError::Format { origin, reason }),
        }
    }

    /// The path of the file, or its name if it is in memory.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key–value pairs of the file. A PyTorch file has none.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }

    /// Names and shapes of its tensors.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors
            .entries()
            .iter()
            .map(|(name, entry)| (name.clone(), entry.shape.clone()))
            .collect()
    }

    /// The first of [`ARCHITECTURES`](crate::ARCHITECTURES) that has these tensors, with any number of
    /// classes; `None` if none has.
    #[must_use]
    pub fn recognize(&self) -> Option<&'static Architecture> {
        recognize(&self.shapes())
    }

    /// Reads the values of a tensor as `f32`, in the layout of the file.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] if there is no such tensor, or its values are not floating-point numbers.
    pub fn values(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        // Values that are read and converted at a time, which bounds memory besides the tensor itself.
        const PART: usize = 1 << 16;
        let (rows, row) = self.entry(name)?.rows();
        let mut values = Vec::with_capacity(rows * row);
        let count = (PART / row.max(1)).max(1);
        self.for_rows(name, count, |_, part| values.extend_from_slice(part))?;
        Ok(values)
    }

    /// Reads a matrix `[rows, columns]` and transposes it, without holding it in memory twice.
    fn transposed(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let (rows, columns) = self.entry(name)?.rows();
        let mut values = vec![0.0; rows * columns];
        self.for_rows(name, 16, |first, part| {
            let count = part.len() / columns.max(1);
            for column in 0..columns {
                let target = &mut values[column * rows + first..][..count];
                for (row, value) in target.iter_mut().enumerate() {
                    *value = part[row * columns + column];
                }
            }
        })?;
        Ok(values)
    }

    fn entry(&self, name: &str) -> Result<&Entry, ModelError> {
        let entries = self.tensors.entries();
        entries.get(name).ok_or_else(|| ModelError::Format {
            origin: self.origin.clone(),
            reason: format!("it has no tensor `{name}`"),
        })
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), ModelError> {
        self.tensors
            .for_rows(name, count, &mut each)
            .map_err(|reason| ModelError::Format {
                origin: self.origin.clone(),
                reason,
            })
    }

    /// Builds a network of `architecture` with `classes` outputs and the weights of this file.
    ///
    /// The position embedding of a Vision Transformer is resampled if the architecture is for images of
    /// another size.
    ///
    /// # Errors
    ///
    /// [`ModelError::Mismatch`], before anything is allocated, if tensors are missing, unexpected or of
    /// another shape; it says which architecture the file looks like.
    pub fn load(
        &mut self,
        architecture: &Architecture,
        classes: usize,
        head: Head,
        device: &Device,
    ) -> Result<Loaded, ModelError> {
        let network = architecture.uninitialized(classes, device);
        let shapes = self.shapes();
        let new_head = matches!(head, Head::New { .. });
        let fit = fit(slots(&network), architecture, new_head, &shapes);
        if !fit.is_whole() {
            return Err(self.mismatch(architecture, &fit.problems()));
        }
        let mut notes = Vec::new();
        let mut not_finite = Vec::new();
        let mut values: HashMap<ParamId, Vec<f32>> = HashMap::new();
        for (slot, name) in fit.slots.iter().zip(&fit.names) {
            if new_head && is_head(&slot.path, architecture) {
                if let Some(&[stored, ..]) = shapes.get(name).map(Vec::as_slice)
                    && slot.path.ends_with(".weight")
                {
                    notes.push(format!(
                        "its head for {stored} classes is replaced by a new one for {classes}"
                    ));
                }
                continue;
            }
            let read = self.tensor(slot, name, architecture, &mut notes)?;
            if !read.iter().all(|value| value.is_finite()) {
                not_finite.push(name.clone());
            }
            values.insert(slot.id, read);
        }
        if let Some(first) = not_finite.first() {
            notes.push(format!(
                "{} of its tensors have values that are not finite, the first is `{first}`: the model \
                 is unusable",
                not_finite.len()
            ));
        }
        let mut network = apply(network, values);
        if let Head::New { seed } = head {
            network = initialize_head(network, architecture.head, architecture.init, seed);
        }
        Ok(Loaded {
            network,
            new_head,
            notes,
        })
    }

    /// Reads the values of a slot, in Burn's layout.
    fn tensor(
        &mut self,
        slot: &Slot,
        name: &str,
        architecture: &Architecture,
        notes: &mut Vec<String>,
    ) -> Result<Vec<f32>, ModelError> {
        if slot.transposed {
            return self.transposed(name);
        }
        let stored = self.entry(name)?.shape.clone();
        let read = self.values(name)?;
        if stored == slot.shape || !is_position_embedding(&stored, slot, architecture) {
            return Ok(read);
        }
        let (from, to) = ((stored[1] - 1).isqrt(), (slot.shape[1] - 1).isqrt());
        notes.push(format!(
            "its position embedding for {from}×{from} patches is interpolated to {to}×{to}"
        ));
        resample(&read, slot.shape[2], to).ok_or_else(|| ModelError::Format {
            origin: self.origin.clone(),
            reason: format!("`{name}` cannot be interpolated to {to}×{to} patches"),
        })
    }

    fn mismatch(&self, architecture: &Architecture, problems: &str) -> ModelError {
        let details = match self.recognize() {
            Some(other) if other.name != architecture.name => {
                format!(
                    "it looks like `{}` (use --model {0}); {problems}",
                    other.name
                )
            }
            _ => problems.to_owned(),
        };
        ModelError::Mismatch {
            origin: self.origin.clone(),
            model: architecture.name.to_owned(),
            details,
        }
    }
}
