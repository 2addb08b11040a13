//! A finished run's model or adapter as files for other programs.

use std::path::{Path, PathBuf};

use finetune_evaluation::write_atomically;
use finetune_methods::catalogue::Place;
use finetune_methods::merge;
use finetune_model::{
    PeftNames, save_peft, state_dict, state_dict_of, write_pth, write_safetensors,
};

use super::finished::FinishedRun;
use super::onnx::{OnnxInput, onnx};
use crate::error::Error;
use crate::weights::{BaseName, Metadata};

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// The merged model as safetensors, with class names and preprocessing in the metadata.
    Safetensors,
    /// The merged model as a state dict for `torch.load(weights_only=True)`, and a JSON file of the
    /// same name with class names and preprocessing.
    Pth,
    /// The adapter and the head as a folder for HF PEFT's `PeftModel.from_pretrained`, with class
    /// names and preprocessing in `finetune.json`.
    Peft,
    /// The merged model as ONNX, with class names and preprocessing in its metadata. What a method adds
    /// as layers is part of the graph.
    Onnx(OnnxInput),
}

/// A file or folder that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its path.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Writes a run's model or adapter to `out`. The tensors get the names of `library` (`torchvision` or
/// `timm`), or those of the first library that has the model.
///
/// # Errors
///
/// The run's files are missing, the library does not have the model, HF PEFT cannot represent the
/// method, the model is too large for ONNX, or a file cannot be written.
pub fn export(
    run: &FinishedRun,
    format: ExportFormat,
    library: Option<&str>,
    out: &Path,
) -> Result<Vec<Written>, Error> {
    let config = run.config();
    if config.method.place() == Place::Head {
        return Err(Error::Usage(format!(
            "{} has no network to export: it answers by the features of the training images; export another \
             method, such as probe",
            config.method_name()
        )));
    }
    let architecture = config.architecture()?;
    let classes = run.classes()?;
    let count = classes.len();
    let metadata =
        Metadata::new(&architecture, config.method_name(), classes).fitted(config.data.fit);
    let base = BaseName::of(config);
    let metadata = metadata.based_on(base.name_or_path());
    let tensors = || -> Result<_, Error> {
        let network = run.network(count, false)?;
        Ok(match library {
            Some(library) => state_dict_of(&network, &architecture, library)?,
            None => state_dict(&network, &architecture)?,
        })
    };
    let written = |bytes: u64| Written {
        path: out.to_owned(),
        bytes,
    };
    Ok(match format {
        ExportFormat::Safetensors => {
            let bytes = write_safetensors(tensors()?, &metadata.to_map()?, out)?;
            vec![written(bytes)]
        }
        ExportFormat::Pth => {
            let bytes = write_pth(&tensors()?, out)?;
            vec![
                written(bytes),
                write_metadata(&metadata, &out.with_extension("json"))?,
            ]
        }
        ExportFormat::Onnx(input) => {
            if library.is_some() {
                return Err(Error::Usage(
                    "an ONNX file has no names of a library: leave out --names".to_owned(),
                ));
            }
            let network = run.network(count, false)?;
            let network = if config.method.merges() {
                merge(&network)?
            } else {
                network
            };
            let bytes = onnx(&network, &architecture, &metadata, input)?;
            write_atomically(out, &bytes)?;
            vec![written(bytes.len() as u64)]
        }
        ExportFormat::Peft => {
            let Some(network) = run.adapted_network(count)? else {
                let why = if config.method.freezes_base() {
                    "wrote its merged model alone (--save model)"
                } else {
                    "trains the whole model and has no adapter"
                };
                return Err(Error::Usage(format!(
                    "{} {why}; export it as pth",
                    config.method_name()
                )));
            };
            let names = PeftNames {
                library,
                base: base.name_or_path(),
            };
            let bytes = save_peft(&network, &config.method, &architecture, names, out)?;
            let mut all = vec![
                written(bytes),
                write_metadata(&metadata, &out.join("finetune.json"))?,
            ];
            if let Some(card) = run.peft_card() {
                all.push(write_text(&card, &out.join("README.md"))?);
            }
            all
        }
    })
}

/// Writes the metadata next to a file that cannot hold it.
fn write_metadata(metadata: &Metadata, path: &Path) -> Result<Written, Error> {
    write_text(&serde_json::to_string_pretty(metadata)?, path)
}

fn write_text(text: &str, path: &Path) -> Result<Written, Error> {
    write_atomically(path, text.as_bytes())?;
    Ok(Written {
        path: path.to_owned(),
        bytes: text.len() as u64,
    })
}
