//! `export` and `merge`: write a run's model with the adapter merged into the weights, or the
//! adapter alone for HF PEFT.

use std::path::Path;

use anyhow::{Result, bail};
use finetune::evaluation::bytes;
use finetune::folder::{self, OnnxInput, Written};
use finetune::weights::{PeftAdapter, locate};

use super::selected::selected;
use super::target::{promised, target};
use crate::flags::{ExportArgs, ExportFormat, MergeArgs, SelectedRun};
use crate::terminal::exit::Usage;
use crate::terminal::output::say;

/// `finetune merge`.
///
/// # Errors
///
/// The folder holds no finished run or adapter, the weights do not fit, or a file cannot be written.
pub fn merge(args: &MergeArgs) -> Result<()> {
    match (&args.run, &args.adapter.adapter) {
        (_, Some(adapter)) => {
            target(&args.out, ExportFormat::Safetensors, args.overwrite)?;
            let adapter = PeftAdapter {
                folder: adapter.clone(),
                weights: locate(args.adapter.weights.as_deref().unwrap_or_default(), None)?,
                model: args.adapter.model.clone(),
                classes: args.adapter.classes.clone(),
            };
            let bytes = adapter.merge(&args.out)?;
            tell(&args.out, bytes)
        }
        (Some(run), None) => export(&ExportArgs {
            of: SelectedRun {
                run: run.clone(),
                selection: args.selection.clone(),
                weights: args.adapter.weights.clone(),
            },
            format: Some(ExportFormat::Safetensors),
            onnx_normalize: false,
            names: None,
            out: args.out.clone(),
            overwrite: args.overwrite,
        }),
        (None, None) => bail!(Usage("give --run or --adapter".to_owned())),
    }
}

/// `finetune export`.
///
/// # Errors
///
/// The folder holds no finished run, HF PEFT cannot represent the method, or a file cannot be
/// written.
pub fn export(args: &ExportArgs) -> Result<()> {
    let format = format(args)?;
    let run = selected(&args.of)?;
    for Written { path, bytes } in folder::export(&run, format, args.names.as_deref(), &args.out)? {
        tell(&path, bytes)?;
    }
    Ok(())
}

/// The format that is asked for, or that the ending of the file's name promises.
fn format(args: &ExportArgs) -> Result<folder::ExportFormat> {
    let chosen = args.format.or_else(|| promised(&args.out));
    let chosen = chosen.unwrap_or(ExportFormat::Safetensors);
    target(&args.out, chosen, args.overwrite)?;
    if args.onnx_normalize && chosen != ExportFormat::Onnx {
        bail!(Usage(
            "--onnx-normalize is for ONNX files: leave it out or add --format onnx".to_owned()
        ));
    }
    Ok(match chosen {
        ExportFormat::Safetensors => folder::ExportFormat::Safetensors,
        ExportFormat::Pth => folder::ExportFormat::Pth,
        ExportFormat::Peft => folder::ExportFormat::Peft,
        ExportFormat::Onnx if args.onnx_normalize => folder::ExportFormat::Onnx(OnnxInput::Pixels),
        ExportFormat::Onnx => folder::ExportFormat::Onnx(OnnxInput::Normalized),
    })
}

fn tell(path: &Path, size: u64) -> Result<()> {
    say(&format!("{} ({})", path.display(), bytes(size)))
}
