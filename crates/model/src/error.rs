//! Errors of this crate.

use std::path::PathBuf;

use finetune_files::{quoted, quoted_path};

/// What can go wrong with models and their files. Each message names what is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no architecture of this name.
    #[error("{}", finetune_files::unknown("model", name, known))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The names of all architectures.
        known: Vec<&'static str>,
    },
    /// The names that a library has for the tensors of a model are not known.
    #[error("the names of {} for `{model}` are not known; libraries: {}", quoted(library), known.join(", "))]
    UnknownLibrary {
        /// The library that was asked for.
        library: String,
        /// The name of the model.
        model: &'static str,
        /// The libraries whose names are known.
        known: Vec<&'static str>,
    },
    /// A method needs the blocks of a transformer, and the model has none.
    #[error("{method} needs the blocks of a vision transformer, and `{model}` has none")]
    NoBlocks {
        /// The name of the model.
        model: &'static str,
        /// The name of the method.
        method: &'static str,
    },
    /// The model does not take images of this size.
    #[error("`{model}` takes images of {wanted}, not {side}×{side}")]
    ImageSize {
        /// The name of the model.
        model: &'static str,
        /// The sizes that it takes.
        wanted: String,
        /// The side that was asked for, in pixels.
        side: usize,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", quoted_path(path))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file is not a readable weights file.
    #[error("{origin} is not a readable weights file: {reason}")]
    Format {
        /// The file, or the name of the bytes in memory.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A weights file does not fit the model.
    #[error("{origin} does not fit `{model}`: {details}")]
    Mismatch {
        /// The file, or the name of the bytes in memory.
        origin: String,
        /// The name of the model.
        model: String,
        /// The tensors that are missing, unexpected or of another shape, and the model that it looks like.
        details: String,
    },
    /// An adapter of HF PEFT cannot be used.
    #[error("the adapter in {} cannot be used: {source}", quoted_path(folder))]
    Adapter {
        /// The folder of the adapter.
        folder: PathBuf,
        /// Why it cannot be used.
        source: finetune_methods::MethodError,
    },
    /// An error of `finetune-methods`.
    #[error(transparent)]
    Method(#[from] finetune_methods::MethodError),
}
