//! Reading weights files (safetensors and PyTorch), which are checked before anything is allocated.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::Path;

use burn::module::ParamId;
use burn::tensor::Device;

use finetune_files::{quoted, quoted_path};

use super::matching::{Wanted, is_head, patches_of};
use super::parts::rows_of_parts;
use super::sharded::{self, ShardIndex};
use super::single::{self, Opened};
use super::tensor_file::{Entry, TensorFile};
use super::tensors::Tensors;
use super::understood::{Understood, nearest, understand, wanted};
use crate::error::ModelError;
use crate::networks::Architecture;
use crate::networks::Network;
use crate::networks::init::initialize_head;
use crate::weights::position::resample;
use crate::weights::state_dict::{CLASS_TOKEN, POSITIONS, Slot, apply, slots};

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
    /// The names of its tensors with values that are not finite (NaN or infinite).
    pub not_finite: Vec<String>,
    /// Messages to the user, one sentence each: which of several networks is used, tensors are left out, a
    /// head was replaced, a position embedding was resampled, weights are not finite.
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
    /// Opens a safetensors or PyTorch file (the first bytes say which of the two it is), or several with
    /// an index (`model.safetensors.index.json`, see [`ShardIndex`]).
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if the file cannot be read, [`ModelError::Format`] if it is neither, is
    /// truncated or damaged, or has no tensors, or a file of an index is missing.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let opened = match ShardIndex::read(path)? {
            Some(index) => sharded::open(&index)?,
            None => single::open(path)?,
        };
        Ok(Self::of(quoted_path(path), opened))
    }

    /// Opens a safetensors file in memory. `origin` is its name in messages.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] if the bytes are not a valid safetensors file.
    pub fn from_static(origin: &str, bytes: &'static [u8]) -> Result<Self, ModelError> {
        match single::safetensors(Cursor::new(bytes), bytes.len() as u64) {
            Ok(opened) => Ok(Self::of(origin.to_owned(), opened)),
            Err(reason) => Err(ModelError::Format {
                origin: origin.to_owned(),
                reason,
            }),
        }
    }

    fn of(origin: String, opened: Opened) -> Self {
        let Opened { tensors, metadata } = opened;
        Self {
            origin,
            tensors,
            metadata,
        }
    }

    /// The path of the file between backticks, or its name if it is in memory: for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key–value pairs of the file. A PyTorch file has none.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }

    /// Names, as the file has them, and shapes of all its tensors.
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
        Some(self.understand()?.architecture)
    }

    /// Which network the tensors are, where in the file they are, and what else is there; `None` if they
    /// are no known network. No values are read.
    #[must_use]
    pub fn understand(&self) -> Option<Understood> {
        understand(&Tensors::of(self.tensors.entries()), None)
    }

    /// As [`understand`](Self::understand), if the tensors are to be those of the architecture of this
    /// name.
    #[must_use]
    pub fn understand_as(&self, model: &str) -> Option<Understood> {
        let wanted = wanted(model)?;
        understand(&Tensors::of(self.tensors.entries()), Some(wanted))
    }

    /// The architecture to which most of the tensors belong, and what does not match; `None` if fewer
    /// than half of them belong to any.
    #[must_use]
    pub fn nearest(&self) -> Option<(&'static Architecture, String)> {
        nearest(&Tensors::of(self.tensors.entries()))
    }

    /// Reads the values of a tensor as `f32`, in the layout of the file.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] if there is no such tensor, or its values are not floating-point numbers.
    pub fn values(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        // Values that are read and converted at a time, which bounds memory besides the tensor itself.
        const PART: usize = 1 << 16;
        let (_, row) = self.entry(name)?.rows();
        let reserved = self
            .tensors
            .reserve(name)
            .map_err(|reason| self.format(reason))?;
        let mut values = Vec::with_capacity(reserved);
        let count = (PART / row.max(1)).max(1);
        self.for_rows(name, count, |_, part| values.extend_from_slice(part))?;
        Ok(values)
    }

    /// Reads a matrix `[rows, columns]` and transposes it, without holding it in memory twice.
    fn transposed(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let (rows, columns) = self.entry(name)?.rows();
        self.tensors
            .reserve(name)
            .map_err(|reason| self.format(reason))?;
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
        let missing = || self.format(format!("it has no tensor {}", quoted(name)));
        entries.get(name).ok_or_else(missing)
    }

    fn format(&self, reason: String) -> ModelError {
        ModelError::Format {
            origin: self.origin.clone(),
            reason,
        }
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), ModelError> {
        self.tensors
            .for_rows(name, count, &mut each)
            .map_err(|reason| self.format(reason))
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
        let tensors = Tensors::of(self.tensors.entries());
        let new_head = matches!(head, Head::New { .. });
        let wanted = Wanted::new(architecture, slots(&network, architecture.head));
        let understood = understand(&tensors, Some(&wanted));
        let fit = match &understood {
            Some(found) => wanted.fit(found.dialect, &found.prefix, new_head, &tensors),
            None => wanted.nearest(new_head, &tensors),
        };
        if !fit.is_whole() {
            return Err(self.mismatch(architecture, &fit.problems()));
        }
        let mut notes = understood.map_or_else(Vec::new, |found| found.notes());
        let mut not_finite = Vec::new();
        let mut class_position = None;
        let mut values: HashMap<ParamId, Vec<f32>> = HashMap::new();
        for (slot, name) in wanted.slots.iter().zip(&fit.names) {
            if new_head && is_head(&slot.path, architecture) {
                let name = name.iter().flatten().next();
                if let Some(&[stored, ..]) =
                    name.and_then(|name| shapes.get(name)).map(Vec::as_slice)
                    && slot.path.ends_with(".weight")
                {
                    notes.push(format!(
                        "its head for {stored} classes is replaced by a new one for {classes}"
                    ));
                }
                continue;
            }
            let mut read = self.tensor(slot, name, architecture, &mut notes)?;
            if slot.path == POSITIONS && read.len() > slot.shape.iter().product() {
                // The position of the class token is part of the class token here.
                let rest = read.split_off(slot.shape[2]);
                class_position = Some(std::mem::replace(&mut read, rest));
            }
            if !read.iter().all(|value| value.is_finite()) {
                not_finite.extend(name.iter().flatten().next().cloned());
            }
            values.insert(slot.id, read);
        }
        let class_token = wanted.slots.iter().find(|slot| slot.path == CLASS_TOKEN);
        let class_token = class_token.and_then(|slot| values.get_mut(&slot.id));
        if let (Some(position), Some(token)) = (class_position, class_token) {
            for (value, position) in token.iter_mut().zip(position) {
                *value += position;
            }
        }
        if let Some(first) = not_finite.first() {
            notes.push(format!(
                "{} of its tensors have values that are not finite, the first is {}: the model is \
                 unusable",
                not_finite.len(),
                quoted(first)
            ));
        }
        let mut network = apply(network, values);
        if let Head::New { seed } = head {
            network = initialize_head(
                network,
                architecture.head,
                architecture.init.of_head(),
                seed,
            );
        }
        Ok(Loaded {
            network,
            new_head,
            not_finite,
            notes,
        })
    }

    /// Reads the values of a slot, in Burn's layout, from the tensors of these names.
    fn tensor(
        &mut self,
        slot: &Slot,
        names: &[Option<String>],
        architecture: &Architecture,
        notes: &mut Vec<String>,
    ) -> Result<Vec<f32>, ModelError> {
        let [Some(name)] = names else {
            return self.assembled(slot, names);
        };
        if slot.transposed {
            return self.transposed(name);
        }
        let stored = self.entry(name)?.shape.clone();
        let read = self.values(name)?;
        if stored == slot.shape {
            return Ok(read);
        }
        let patches = |shape: &[usize]| patches_of(shape, slot, architecture);
        let (Some(from), Some(to)) = (patches(&stored), patches(&slot.shape)) else {
            return Ok(read);
        };
        if from == to {
            return Ok(read);
        }
        let (from, to) = (from.isqrt(), to.isqrt());
        notes.push(format!(
            "its position embedding for {from}×{from} patches is interpolated to {to}×{to}"
        ));
        let prefix = stored
            .iter()
            .rev()
            .nth(1)
            .map_or(0, |tokens| tokens - from * from);
        resample(&read, prefix, slot.shape[2], to).ok_or_else(|| ModelError::Format {
            origin: self.origin.clone(),
            reason: format!(
                "{} cannot be interpolated to {to}×{to} patches",
                quoted(name)
            ),
        })
    }

    /// Reads the values of a slot that the file has in several parts, some of which may be zeros.
    fn assembled(&mut self, slot: &Slot, names: &[Option<String>]) -> Result<Vec<f32>, ModelError> {
        let rows = slot.shape.first().copied().unwrap_or(1);
        let columns: usize = slot.shape.iter().skip(1).product();
        let stored = names.iter().map(|name| match name {
            Some(name) => Ok(Some(self.entry(name)?.rows().0)),
            None => Ok(None),
        });
        let stored: Vec<Option<usize>> = stored.collect::<Result<_, ModelError>>()?;
        let lengths = rows_of_parts(&stored, rows);
        let lengths = lengths.ok_or_else(|| self.format("its parts do not fit".to_owned()))?;
        let mut values = Vec::with_capacity(rows * columns);
        for (name, length) in names.iter().zip(lengths) {
            match name {
                Some(name) => values.extend(self.values(name)?),
                None => values.resize(values.len() + length * columns, 0.0),
            }
        }
        if slot.transposed {
            let mut turned = vec![0.0; values.len()];
            for (row, part) in values.chunks_exact(columns.max(1)).enumerate() {
                for (column, value) in part.iter().enumerate() {
                    turned[column * rows + row] = *value;
                }
            }
            values = turned;
        }
        Ok(values)
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
