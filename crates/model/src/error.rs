//! What can go wrong with models and their files.

use std::path::PathBuf;

/// Errors of this crate. Each names the thing that is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No architecture of that name.
    #[error("there is no model `{name}`; models: {}", known.join(", "))]
    UnknownModel {
        /// The name as given.
        name: String,
        /// All names.
        known: Vec<&'static str>,
    },
    /// No names of that library for the model.
    #[error("`{library}` has no names for `{model}`; names of: {}", known.join(", "))]
    UnknownLibrary {
        /// The library as given.
        library: String,
        /// The model's name.
        model: &'static str,
        /// Those that have.
        known: Vec<&'static str>,
    },
    /// A method for transformers on a model that is none.
    #[error("{method} stands beside the blocks of a vision transformer, and `{model}` has none")]
    NoBlocks {
        /// The model's name.
        model: &'static str,
        /// The method's name.
        method: &'static str,
    },
    /// The model cannot take images of that size.
    #[error("`{model}` takes images of {wanted}, not {side}×{side}")]
    ImageSize {
        /// The model's name.
        model: &'static str,
        /// What it takes.
        wanted: String,
        /// Side as given, pixels.
        side: usize,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not a checkpoint that can be read.
    #[error("{origin} is not a readable checkpoint: {reason}")]
    Format {
        /// The file, or what else the bytes came from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint belongs to another model.
    #[error("{origin} does not fit `{model}`: {details}")]
    Mismatch {
        /// The file, or what else the bytes came from.
        origin: String,
        /// The model's name.
        model: String,
        /// Missing, left-over and differently shaped tensors by name, and what it looks like.
        details: String,
    },
    /// A PEFT adapter that cannot be used.
    #[error("the adapter in {} cannot be used: {source}", folder.display())]
    Adapter {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: finetune_methods::MethodError,
    },
    /// What a method says.
    #[error(transparent)]
    Method(#[from] finetune_methods::MethodError),
}
