//! The identity of base weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use finetune_files::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::RunConfig;
use crate::error::Error;
use crate::weights::{cached, describe, files_of, hash, is_shipped};

/// The base weights of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsIdentity {
    /// The file, or `shipped`.
    pub origin: String,
    /// Its size, or that of all files of an index, bytes.
    pub bytes: u64,
    /// Its [`hash`], in hexadecimal.
    pub sha256: String,
}

impl WeightsIdentity {
    /// The identity of the weights that a run starts from; `None` if it starts from random ones. A
    /// file is read once per process, unless it changes.
    ///
    /// # Errors
    ///
    /// [`Error::NoBase`] if the file is missing, or it cannot be read.
    pub fn of(config: &RunConfig) -> Result<Option<Self>, Error> {
        if config.from_scratch {
            return Ok(None);
        }
        let origin = describe(config);
        let (bytes, sha256) = match file(config)? {
            None => {
                let bytes = finetune_datasets::RESNET8_64_SIGNS;
                (bytes.len() as u64, hexadecimal(&Sha256::digest(bytes)))
            }
            Some(path) if !path.exists() => return Err(Error::NoBase { path, sha256: None }),
            Some(path) => hash_once(&path)?,
        };
        Ok(Some(Self {
            origin,
            bytes,
            sha256,
        }))
    }

    /// Checks that a file has these weights, to whose place they were moved.
    ///
    /// # Errors
    ///
    /// [`Error::MovedBase`] if it is another file, or it cannot be read.
    pub fn verify_moved(&self, path: &Path) -> Result<(), Error> {
        let (_, found) = hash_once(path)?;
        if found == self.sha256 {
            return Ok(());
        }
        Err(Error::MovedBase {
            path: path.to_owned(),
            found,
            expected: self.sha256.clone(),
        })
    }

    /// Checks that a run's base weights are still these.
    ///
    /// # Errors
    ///
    /// [`Error::OtherBase`] if they are others, [`Error::NoBase`] if they are missing.
    pub fn verify(&self, config: &RunConfig) -> Result<(), Error> {
        let found = match Self::of(config) {
            Err(Error::NoBase { path, .. }) => {
                return Err(Error::NoBase {
                    path,
                    sha256: Some(self.sha256.clone()),
                });
            }
            found => found?,
        };
        match found {
            Some(found) if found.sha256 != self.sha256 => Err(Error::OtherBase {
                origin: found.origin,
                found: found.sha256,
                expected: self.sha256.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// The file of the weights that a run starts from; `None` for those inside the program.
fn file(config: &RunConfig) -> Result<Option<PathBuf>, Error> {
    Ok(match &config.weights {
        Some(path) => Some(path.clone()),
        None if is_shipped(config) => None,
        None => Some(cached(&config.model)?),
    })
}

/// The size and SHA-256 of a file, or of all files of an index. What has not changed since it was hashed in
/// this process is not read again, so that the runs of a comparison do not each read the same base weights.
pub(crate) fn hash_once(path: &Path) -> Result<(u64, String), Error> {
    type Known = HashMap<PathBuf, (Vec<(u64, SystemTime)>, String)>;
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let state = |path: &PathBuf| -> Result<_, Error> {
        let metadata = std::fs::metadata(path).map_err(Error::io("read", path))?;
        let modified = metadata.modified().map_err(Error::io("read", path))?;
        Ok((metadata.len(), modified))
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let states: Result<Vec<_>, _> = files_of(path)?.iter().map(state).collect();
    let states = states?;
    let bytes = states.iter().map(|(bytes, _)| bytes).sum();
    if let Some((before, sha256)) = known.get(path)
        && *before == states
    {
        return Ok((bytes, sha256.clone()));
    }
    let sha256 = hash(path)?;
    known.insert(path.to_owned(), (states, sha256.clone()));
    Ok((bytes, sha256))
}

#[cfg(test)]
mod tests {
    use finetune_methods::Method;

    use super::*;

    #[test]
    fn weights_that_change_or_disappear_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.safetensors");
        std::fs::write(&path, "abc").unwrap();
        let run = RunConfig::new(Method::Sft).weights(&path);
        let identity = WeightsIdentity::of(&run).unwrap().unwrap();
        // FIPS 180-4, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((identity.sha256.as_str(), identity.bytes), (abc, 3));
        identity.verify(&run).unwrap();
        std::fs::write(&path, "abd!").unwrap();
        let error = identity.verify(&run).unwrap_err().to_string();
        assert!(error.contains("are no longer those"), "{error}");
        let moved = folder.path().join("moved.safetensors");
        std::fs::write(&moved, "abc").unwrap();
        identity.verify_moved(&moved).unwrap();
        let error = identity.verify_moved(&path).unwrap_err().to_string();
        assert!(
            error.contains("is not the file") && error.contains(abc),
            "{error}"
        );
        std::fs::remove_file(&path).unwrap();
        let error = identity.verify(&run).unwrap_err().to_string();
        assert!(
            error.contains("are missing")
                && error.contains(abc)
                && error.contains("--weights FILE"),
            "{error}"
        );
    }

    #[test]
    fn weights_inside_the_program_have_an_identity_and_random_ones_have_none() {
        let shipped = WeightsIdentity::of(&RunConfig::new(Method::Sft)).unwrap();
        let shipped = shipped.unwrap();
        assert_eq!(
            (shipped.origin.as_str(), shipped.sha256.len()),
            ("shipped", 64)
        );
        assert_eq!(WeightsIdentity::of(&RunConfig::scratch()).unwrap(), None);
    }
}
