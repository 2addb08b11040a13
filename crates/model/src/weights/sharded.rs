//! Weights in several files with an index, as Hugging Face's libraries write large models:
//! `model.safetensors.index.json` or `pytorch_model.bin.index.json`, an object whose `weight_map` says in
//! which file each tensor is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use finetune_files::{quoted, quoted_path, shortened, visible};
use serde::Deserialize;

use super::pickle::MOST_TENSORS;
use super::single::{self, Opened};
use super::tensor_file::{Entry, TensorFile};
use crate::error::ModelError;

/// How the names of indices end.
const ENDING: &str = ".index.json";

/// The most bytes of an index. One of 500 tensors has about 50 000.
const MOST_BYTES: u64 = 4 << 20;

/// The most files of an index: all of them are open at the same time, and systems allow a process few.
const MOST_SHARDS: usize = 200;

/// The index of weights in several files. They lie in its folder, or in folders therein.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIndex {
    path: PathBuf,
    /// The file of each tensor.
    files: BTreeMap<String, String>,
}

/// What is read of an index.
#[derive(Deserialize)]
struct Document {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Reads and checks the index at `path`; `None` if its name does not end in `.index.json`. The files
    /// that it names need not exist.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if it cannot be read, [`ModelError::Format`] if it is no index, or names a file
    /// outside its folder.
    pub fn read(path: &Path) -> Result<Option<Self>, ModelError> {
        if !path.to_string_lossy().ends_with(ENDING) || path.is_dir() {
            return Ok(None);
        }
        let text =
            finetune_files::read_text(path, MOST_BYTES).map_err(|source| ModelError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            })?;
        let document: Document = serde_json::from_str(&text).map_err(|error| {
            let reason = error.to_string();
            let reason = visible(&shortened(&reason, 300)).into_owned();
            format(
                path,
                format!("it is no index of weights in several files: {reason}"),
            )
        })?;
        let index = Self {
            path: path.to_owned(),
            files: document.weight_map,
        };
        index.check().map_err(|reason| format(path, reason))?;
        Ok(Some(index))
    }

    /// The names of the files, in alphabetical order, relative to the index's folder.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.files.values().map(String::as_str).collect()
    }

    /// The path of a file of this name.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    fn check(&self) -> Result<(), String> {
        let names = self.names();
        if names.is_empty() {
            return Err("its weight_map is empty".to_owned());
        }
        if names.len() > MOST_SHARDS {
            return Err(format!("it names more than {MOST_SHARDS} files"));
        }
        if self.files.len() > MOST_TENSORS {
            return Err(format!("it has more than {MOST_TENSORS} tensors"));
        }
        for name in names {
            let mut parts = Path::new(name).components();
            // A backslash separates folders on some systems and not on others.
            let stays = parts.all(|part| matches!(part, Component::Normal(_)));
            let plain = !name.contains('\\') && !name.chars().any(char::is_control);
            if name.is_empty() || !stays || !plain {
                return Err(format!(
                    "it names the file {}, which is not in its folder",
                    quoted(name)
                ));
            }
        }
        Ok(())
    }
}

fn format(path: &Path, reason: String) -> ModelError {
    ModelError::Format {
        origin: quoted_path(path),
        reason,
    }
}

/// The tensors of several open files.
struct Sharded {
    shards: Vec<Box<dyn TensorFile>>,
    entries: BTreeMap<String, Entry>,
    /// The index in `shards` of each tensor's file.
    shard_of: BTreeMap<String, usize>,
}

/// Opens all files of an index and checks that they have the tensors that it lists. Other tensors in
/// them do not count.
pub(super) fn open(index: &ShardIndex) -> Result<Opened, ModelError> {
    let names = index.names();
    let mut shards = Vec::with_capacity(names.len());
    let mut metadata = BTreeMap::new();
    for name in &names {
        let path = index.path_of(name);
        if !path.exists() {
            let reason = format!(
                "its part {} is missing; put the file there: all {} files that the index names belong \
                 into its folder",
                quoted_path(&path),
                names.len()
            );
            return Err(format(&index.path, reason));
        }
        let opened = single::open(&path)?;
        for (key, value) in opened.metadata {
            metadata.entry(key).or_insert(value);
        }
        shards.push(opened.tensors);
    }
    let (mut entries, mut shard_of) = (BTreeMap::new(), BTreeMap::new());
    for (tensor, file) in &index.files {
        let at = names.iter().position(|name| name == file);
        let entry = at.and_then(|at| Some((at, shards[at].entries().get(tensor)?)));
        let Some((at, entry)) = entry else {
            let path = index.path_of(file);
            let reason = format!(
                "the tensor {} should be in {} and is not; the files do not belong together",
                quoted(tensor),
                quoted_path(&path)
            );
            return Err(format(&index.path, reason));
        };
        entries.insert(tensor.clone(), entry.clone());
        shard_of.insert(tensor.clone(), at);
    }
    Ok(Opened {
        tensors: Box::new(Sharded {
            shards,
            entries,
            shard_of,
        }),
        metadata,
    })
}

impl Sharded {
    fn at(&self, name: &str) -> Result<usize, String> {
        let found = self.shard_of.get(name).copied();
        found.ok_or_else(|| format!("it has no tensor {}", quoted(name)))
    }
}

impl TensorFile for Sharded {
    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn reserve(&self, name: &str) -> Result<usize, String> {
        self.shards[self.at(name)?].reserve(name)
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        let at = self.at(name)?;
        self.shards[at].for_rows(name, count, each)
    }
}
