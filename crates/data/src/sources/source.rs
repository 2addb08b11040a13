//! Where one image comes from.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::DataError;

/// Where an image comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An encoded image in a file of its own.
    File(PathBuf),
    /// An encoded image in memory.
    Memory {
        /// Its name, for messages.
        name: String,
        /// Its bytes.
        bytes: &'static [u8],
    },
    /// An encoded image in a file with others.
    Contained {
        /// The file.
        container: Arc<dyn Container>,
        /// Index of the image in it, from 0.
        index: usize,
    },
    /// Grey values in memory.
    Grey {
        /// Its name, for messages.
        name: String,
        /// Height in pixels.
        height: u32,
        /// Width in pixels.
        width: u32,
        /// `height · width` values, row by row.
        values: Arc<[u8]>,
    },
}

/// A file with many encoded images. A format whose images have no files of their own implements it.
pub trait Container: Debug + Send + Sync {
    /// The file.
    fn path(&self) -> &Path;

    /// The name of an image, for messages.
    fn name(&self, index: usize) -> String;

    /// The path that an image had before it was put into the file, if the file says it.
    fn own_name(&self, index: usize) -> Option<&str>;

    /// The encoded bytes of an image. Several threads call this at the same time.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not valid.
    fn bytes(&self, index: usize) -> Result<Vec<u8>, DataError>;
}

impl Source {
    /// Hashes what identifies this image: for a file its path, size and time of modification.
    pub(crate) fn identify(&self, hasher: &mut Sha256) -> Result<(), DataError> {
        match self {
            Self::File(path) => identify_file(path, hasher)?,
            Self::Contained { container, index } => {
                identify_file(container.path(), hasher)?;
                hasher.update(index.to_le_bytes());
            }
            Self::Memory { name, bytes } => {
                hasher.update(name);
                hasher.update(bytes);
            }
            Self::Grey {
                name,
                height,
                width,
                values,
            } => {
                hasher.update(format!("{name} {height} {width} "));
                hasher.update(values);
            }
        }
        Ok(())
    }

    /// Its name, for messages: the path if it is a file.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory { name, .. } | Self::Grey { name, .. } => name.clone(),
            Self::Contained { container, index } => container.name(*index),
        }
    }

    /// Its own path: that of a file in a container is the one that it had before, if that is known.
    pub(crate) fn own_name(&self) -> String {
        let own = match self {
            Self::Contained { container, index } => container.own_name(*index),
            _ => None,
        };
        own.map_or_else(|| self.name(), str::to_owned)
    }
}

fn identify_file(path: &Path, hasher: &mut Sha256) -> Result<(), DataError> {
    let io = |source| DataError::Io {
        path: path.to_owned(),
        source,
    };
    let path = std::path::absolute(path).map_err(io)?;
    let data = path.metadata().map_err(io)?;
    let changed = data.modified().map_err(io)?;
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.update(format!(" {} {changed:?} ", data.len()));
    Ok(())
}
