//! Reading weights: a safetensors file with PyTorch's names, checked before anything is touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use burn::module::ParamId;
use burn::tensor::Device;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};

use crate::error::ModelError;
use crate::init::initialize_head;
use crate::registry::{ARCHITECTURES, Architecture, Network};
use crate::state::{Slot, apply, slots};

/// Longest header that is accepted, bytes: the limit of the safetensors crate.
const MAX_HEADER: u64 = 100_000_000;

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// An open checkpoint: its header is read and checked, its tensors are read when asked for.
pub struct Checkpoint {
    origin: String,
    data: Box<dyn ReadSeek>,
    header: Metadata,
    /// Where the tensors' bytes start.
    start: u64,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
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

impl Checkpoint {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] where it cannot be read, [`ModelError::Format`] where it is no
    /// safetensors file or is cut short.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Self::read(path.display().to_string(), Box::new(file), length)
    }

    /// Opens a checkpoint in memory; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] where the bytes are no safetensors file.
    pub fn from_static(origin: &str, bytes: &'static [u8]) -> Result<Self, ModelError> {
        Self::read(
            origin.to_owned(),
            Box::new(Cursor::new(bytes)),
            bytes.len() as u64,
        )
    }

    fn read(origin: String, mut data: Box<dyn ReadSeek>, length: u64) -> Result<Self, ModelError> {
        let format = |reason: String| ModelError::Format {
            origin: origin.clone(),
            reason,
        };
        let mut size = [0; 8];
        data.read_exact(&mut size)
            .map_err(|_| format("it has fewer than 8 bytes".to_owned()))?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size > length.saturating_sub(8) {
            let hint = "is it a safetensors file, and complete?";
            return Err(format(format!(
                "its header claims {size} bytes of {length}; {hint}"
            )));
        }
        let mut header = Vec::new();
        data.by_ref()
            .take(size)
            .read_to_end(&mut header)
            .map_err(|error| format(error.to_string()))?;
        // Checks that the tensors' places follow each other and fit their shapes.
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| format(error.to_string()))?;
        let start = 8 + size;
        let wanted = start + metadata.data_len() as u64;
        if wanted != length {
            return Err(format(format!(
                "its tensors need {wanted} bytes and it has {length}; it was cut short or damaged"
            )));
        }
        Ok(Self {
            origin,
            data,
            header: metadata,
            start,
        })
    }

    /// Where it came from: the file, or the name given.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The file's own key–value pairs.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect()
    }

    /// Names and shapes of its tensors.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let tensors = self.header.tensors();
        tensors
            .into_iter()
            .map(|(name, info)| (name, info.shape.clone()))
            .collect()
    }

    /// Reads one tensor's values as `f32`, in the file's layout.
    ///
    /// # Errors
    ///
    /// [`ModelError::Format`] where there is no such tensor, or not of floating-point numbers.
    pub fn values(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let shape = self.info(name)?.0;
        let rows = shape.first().copied().unwrap_or(1).max(1);
        let mut values = Vec::with_capacity(shape.iter().product());
        self.for_rows(name, rows, |_, part| values.extend_from_slice(part))?;
        Ok(values)
    }

    /// Reads a matrix `[rows, columns]` as its transpose, without holding it twice.
    fn transposed(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let shape = self.info(name)?.0;
        let (rows, columns) = (shape[0], shape[1]);
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

    fn info(&self, name: &str) -> Result<(Vec<usize>, Dtype, u64), ModelError> {
        let info = self.header.info(name).ok_or_else(|| ModelError::Format {
            origin: self.origin.clone(),
            reason: format!("it has no tensor `{name}`"),
        })?;
        Ok((
            info.shape.clone(),
            info.dtype,
            self.start + info.data_offsets.0 as u64,
        ))
    }

    /// Hands over `count` rows at a time: the index of the first one, and the values.
    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), ModelError> {
        let (shape, dtype, offset) = self.info(name)?;
        let origin = self.origin.clone();
        let format = |reason: String| ModelError::Format {
            origin: origin.clone(),
            reason,
        };
        let width = match dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                return Err(format(format!(
                    "tensor `{name}` is of {other:?}, not f32, f16 or bf16"
                )));
            }
        };
        let rows = shape.first().copied().unwrap_or(1);
        let row: usize = shape.iter().skip(1).product();
        self.data
            .seek(SeekFrom::Start(offset))
            .map_err(|error| format(error.to_string()))?;
        let mut bytes = Vec::new();
        let mut values = Vec::new();
        let mut first = 0;
        while first < rows {
            let count = count.min(rows - first);
            bytes.resize(count * row * width, 0);
            self.data
                .read_exact(&mut bytes)
                .map_err(|error| format(error.to_string()))?;
            values.clear();
            match dtype {
                Dtype::F32 => values.extend(
                    bytes
                        .as_chunks::<4>()
                        .0
                        .iter()
                        .map(|bytes| f32::from_le_bytes(*bytes)),
                ),
                Dtype::F16 => values.extend(
                    bytes
                        .as_chunks::<2>()
                        .0
                        .iter()
                        .map(|bytes| f16::from_le_bytes(*bytes).to_f32()),
                ),
                _ => values.extend(
                    bytes
                        .as_chunks::<2>()
                        .0
                        .iter()
                        .map(|bytes| bf16::from_le_bytes(*bytes).to_f32()),
                ),
            }
            each(first, &values);
            first += count;
        }
        Ok(())
    }

    /// Builds a network of `architecture` with `classes` outputs and this checkpoint's weights.
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
        let network = architecture.skeleton(classes, device);
        let slots = slots(&network, architecture);
        let names = self.names(architecture);
        let new_head = matches!(head, Head::New { .. });
        let problems = problems(&slots, &names, &self.shapes(), architecture, new_head);
        if !problems.is_empty() {
            return Err(self.mismatch(architecture, &problems));
        }
        let mut values: HashMap<ParamId, Vec<f32>> = HashMap::new();
        for slot in &slots {
            if new_head && is_head(&slot.name, architecture) {
                continue;
            }
            let name = &names[&slot.name];
            let read = if slot.transposed {
                self.transposed(name)?
            } else {
                self.values(name)?
            };
            values.insert(slot.id, read);
        }
        let mut network = apply(network, values);
        if let Head::New { seed } = head {
            network = initialize_head(network, architecture.head, architecture.init, seed);
        }
        Ok(Loaded { network, new_head })
    }

    /// The file's tensor for each of PyTorch's names, other spellings resolved.
    fn names(&self, architecture: &Architecture) -> HashMap<String, String> {
        let stored: Vec<String> = self.shapes().into_keys().collect();
        let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let tops: BTreeSet<String> = stored.iter().map(|name| top(name)).collect();
        // Other spellings count only where all of them are there, and none of the usual ones.
        let aliased = !architecture.alias.is_empty()
            && architecture
                .alias
                .iter()
                .all(|(other, usual)| tops.contains(*other) && !tops.contains(*usual));
        stored
            .into_iter()
            .filter(|name| !name.ends_with(".num_batches_tracked"))
            .map(|name| {
                let first = top(&name);
                let usual = architecture
                    .alias
                    .iter()
                    .find(|(other, _)| aliased && first == *other);
                match usual {
                    Some((other, usual)) => (format!("{usual}{}", &name[other.len()..]), name),
                    None => (name.clone(), name),
                }
            })
            .collect()
    }

    fn mismatch(&self, architecture: &Architecture, problems: &[String]) -> ModelError {
        let looks_like = ARCHITECTURES.iter().find(|other| {
            let slots = slots(&other.skeleton(2, &Device::flex()), other);
            problems_free(&slots, &self.names(other), &self.shapes(), other)
        });
        let mut details = problems.join("; ");
        if let Some(other) = looks_like {
            details = format!(
                "it looks like `{}` (use --model {0}); {details}",
                other.name
            );
        }
        ModelError::Mismatch {
            origin: self.origin.clone(),
            model: architecture.name.to_owned(),
            details,
        }
    }
}

fn problems_free(
    slots: &[Slot],
    names: &HashMap<String, String>,
    shapes: &BTreeMap<String, Vec<usize>>,
    architecture: &Architecture,
) -> bool {
    problems(slots, names, shapes, architecture, true).is_empty()
}

/// What keeps a checkpoint from fitting, a phrase each: missing, of another shape, left over.
fn problems(
    slots: &[Slot],
    names: &HashMap<String, String>,
    shapes: &BTreeMap<String, Vec<usize>>,
    architecture: &Architecture,
    new_head: bool,
) -> Vec<String> {
    let mut missing = Vec::new();
    let mut differing = Vec::new();
    for slot in slots {
        if new_head && is_head(&slot.name, architecture) {
            continue;
        }
        match names.get(&slot.name).and_then(|name| shapes.get(name)) {
            None => missing.push(slot.name.clone()),
            Some(shape) if *shape != slot.shape => {
                differing.push(format!(
                    "{} is {shape:?} instead of {:?}",
                    slot.name, slot.shape
                ));
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<&String> = slots.iter().map(|slot| &slot.name).collect();
    let mut left: Vec<_> = names
        .iter()
        .filter(|(usual, _)| !known.contains(usual))
        .map(|(_, name)| name.clone())
        .collect();
    left.sort();
    [
        ("missing: ", missing),
        ("of another shape: ", differing),
        ("left over: ", left),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(title, list)| format!("{title}{}", shorten(&list)))
    .collect()
}

fn is_head(name: &str, architecture: &Architecture) -> bool {
    let head = architecture
        .rename
        .iter()
        .find(|(burn, _)| *burn == architecture.head)
        .map_or(architecture.head, |(_, torch)| torch);
    name.strip_prefix(head)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn shorten(list: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = list[..list.len().min(SHOWN)].join(", ");
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
