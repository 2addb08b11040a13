//! Adapters of HF PEFT.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use finetune_files::quoted_path;
use finetune_methods::parameters;
use finetune_model::{
    Architecture, WeightsFile, is_peft, load_peft, state_dict, write_safetensors,
};

use super::identify::identify;
use super::metadata::Metadata;
use crate::error::Error;

/// An adapter that HF PEFT saved, and the weights that it was trained on.
#[derive(Debug, Clone)]
pub struct PeftAdapter {
    /// The folder with `adapter_config.json` and `adapter_model.safetensors`.
    pub folder: PathBuf,
    /// The file of the base weights.
    pub weights: PathBuf,
    /// The model's name; `None` is the model that the weights fit.
    pub model: Option<String>,
    /// The names of the classes in the order of the logits; if empty, their numbers.
    pub classes: Vec<String>,
}

impl PeftAdapter {
    /// Merges the adapter into its base and writes the model to `out` as safetensors. Returns the
    /// file's size in bytes.
    ///
    /// # Errors
    ///
    /// A file cannot be read or does not fit, the number of classes is wrong, or the model cannot be
    /// written.
    pub fn merge(&self, out: &Path) -> Result<u64, Error> {
        if !is_peft(&self.folder) {
            return Err(Error::Usage(format!(
                "{} is not the folder of a PEFT adapter: it has no adapter_config.json",
                quoted_path(&self.folder)
            )));
        }
        let mut checkpoint = WeightsFile::open(&self.weights)?;
        let identity = identify(&checkpoint, &self.weights, self.model.as_deref())?;
        let architecture = Architecture::find(identity.model)?;
        let device = Device::flex().autodiff();
        let (attached, method) = load_peft(&mut checkpoint, architecture, &self.folder, &device)?;
        let tensors = state_dict(attached.model(), architecture)?;
        let head = format!("{}.bias", architecture.head);
        let count = parameters(attached.model())
            .into_iter()
            .find(|param| param.path == head)
            .map_or(0, |param| param.shape[0]);
        let classes = if self.classes.is_empty() {
            (0..count).map(|class| class.to_string()).collect()
        } else {
            self.classes.clone()
        };
        if classes.len() != count {
            return Err(Error::Usage(format!(
                "--classes names {} classes, but the model has {count}",
                classes.len()
            )));
        }
        let prepared = identity.preparation;
        let prepared = prepared.map_or(*architecture, |one| one.applied(architecture));
        let metadata = Metadata::new(&prepared, method.name(), classes);
        Ok(write_safetensors(tensors, &metadata.to_map()?, out)?)
    }
}
