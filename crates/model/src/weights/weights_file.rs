//! Reading weights: safetensors and PyTorch files, checked before anything is touched.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use burn::module::ParamId;
use burn::tensor::Device;

use super::matching::{fit, is_head, is_position_embedding, recognize};
use super::read_pytorch::{PyTorch, is_pytorch};
use super::read_safetensors::SafeTensors;
use super::tensor_file::{Entry, Source};
use crate::error::ModelError;
use crate::networks::Architecture;
use crate::networks::Network;
use crate::networks::init::initialize_head;
use crate::weights::position::resample;
use crate::weights::state_dict::{Slot, apply, slots};

/// An open checkpoint: its tensors' names and shapes are known, their values are read when asked
/// for.
pub struct WeightsFile {
    origin: String,
    source: Box<dyn Source>,
    metadata: BTreeMap<String, String>,
}

impl std::fmt::Debug for WeightsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeightsFile")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A network with weights from a checkpoint.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub network: Network,
    /// Whether its head is new: seeded random weights for the classes asked for.
    pub new_head: bool,
    /// What a person should know: a head that was replaced, a position embedding that was fitted,
    /// weights that are not finite. A sentence each.
    pub notes: Vec<String>,
}

/// Which head a loaded network gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The checkpoint's own; its class count must fit.
    Stored,
    /// A new one, its weights drawn from this seed.
    New {
        /// Seed of the weights.
        seed: u64,
    },
}

impl WeightsFile {
    /// Opens a safetensors or PyTorch file; which of them it is, its first bytes say.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] where it cannot be read, [`ModelError::Format`] where it is neither, is
    /// cut short, or is a pickle of something else than tensors.
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
            let source = PyTorch::open(path).map_err(|reason| ModelError::Format {
                origin: origin.clone(),
                reason,
            })?;
            return Ok(Self {
                origin,
                source: Box::new(source),
                metadata: BTreeMap::new(),
            });
        }
        file.rewind().map_err(io)?;
        Self::safetensors(origin, file, length)
    }

    /// Opens a safetensors checkpoint in memory; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] where the bytes are no safetensors file.
    pub fn from_static(origin: &str, bytes: &'static [u8]) -> Result<Self, ModelError> {
        Self::safetensors(origin.to_owned(), Cursor::new(bytes), bytes.len() as u64)
    }

    fn safetensors(
        origin: String,
        data: impl Read + Seek + Send + 'static,
        length: u64,
    ) -> Result<Self, ModelError> {
        match SafeTensors::open(data, length) {
            Ok((source, metadata)) => Ok(Self {
                origin,
                source: Box::new(source),
                metadata,
            }),
            Err(reason) => Err(ModelError::Format { origin, reason }),
        }
    }

    /// Where it came from: the file, or the name given.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The file's own key–value pairs; a PyTorch file has none.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }

    /// Names and shapes of its tensors.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.source
            .entries()
            .iter()
            .map(|(name, entry)| (name.clone(), entry.shape.clone()))
            .collect()
    }

    /// The first of [`ARCHITECTURES`](crate::ARCHITECTURES) whose tensors these are, whatever its
    /// head's class count.
    #[must_use]
    pub fn recognize(&self) -> Option<&'static Architecture> {
        recognize(&self.shapes())
    }

    /// Reads one tensor's values as `f32`, in the file's layout.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] where there is no such tensor, or not of floating-point numbers.
    pub fn values(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        // Values at a time: what is read and widened beside the tensor itself stays small.
        const PART: usize = 1 << 16;
        let (rows, row) = self.entry(name)?.rows();
        let mut values = Vec::with_capacity(rows * row);
        let count = (PART / row.max(1)).max(1);
        self.for_rows(name, count, |_, part| values.extend_from_slice(part))?;
        Ok(values)
    }

    /// Reads a matrix `[rows, columns]` as its transpose, without holding it twice.
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
        let entries = self.source.entries();
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
        self.source
            .for_rows(name, count, &mut each)
            .map_err(|reason| ModelError::Format {
                origin: self.origin.clone(),
                reason,
            })
    }

    /// Builds a network of `architecture` with `classes` outputs and this checkpoint's weights.
    ///
    /// A Vision Transformer's position embedding is resampled where the architecture is for images
    /// of another size.
    ///
    /// # Errors
    ///
    /// [`ModelError::Mismatch`], before anything is allocated, where tensors are missing, left
    /// over or of another shape; it says which architecture the checkpoint looks like.
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
                        "its head for {stored} classes gives way to a new one for {classes}"
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
                "{} of its tensors hold values that are not finite, `{first}` the first of them: \
                 the model is unusable",
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
