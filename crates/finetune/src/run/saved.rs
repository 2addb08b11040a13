//! Checkpoints, read from their files.

use std::path::Path;

use finetune_files::open;
use finetune_training::Checkpoint;

use crate::error::Error;
use crate::identity::Inputs;

/// The checkpoint in a file, if there is one. It must belong to a run with these inputs, as far as
/// they are recorded.
///
/// # Errors
///
/// The file cannot be read, is no checkpoint or was changed, or belongs to another run.
pub(crate) fn read_checkpoint(path: &Path, inputs: &Inputs) -> Result<Option<Checkpoint>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let (_, size) = open(path).map_err(Error::io("read the checkpoint", path))?;
    let bytes = finetune_files::read(path, size);
    let bytes = bytes.map_err(Error::io("read the checkpoint", path))?;
    let cannot = || format!("cannot go on from {}", path.display());
    let checkpoint = Checkpoint::from_bytes(&bytes).map_err(Error::during(cannot))?;
    drop(bytes);
    if let Some(text) = checkpoint.about() {
        let about: Inputs = serde_json::from_str(text).map_err(Error::during(cannot))?;
        if let Some(difference) = difference(&about, inputs) {
            return Err(Error::OtherRun {
                path: path.to_owned(),
                difference,
            });
        }
    }
    Ok(Some(checkpoint))
}

/// How the inputs of a checkpoint differ from those of a run.
fn difference(checkpoint: &Inputs, run: &Inputs) -> Option<String> {
    if let (Some(own), Some(wanted)) = (&checkpoint.weights, &run.weights)
        && own.sha256 != wanted.sha256
    {
        return Some(format!(
            "it started from base weights with the SHA-256 {}, this run from {}",
            own.sha256, wanted.sha256
        ));
    }
    let (own, wanted) = (checkpoint.data.as_ref()?, run.data.as_ref()?);
    let difference = wanted.difference(own)?;
    Some(format!("its images are others ({difference})"))
}
