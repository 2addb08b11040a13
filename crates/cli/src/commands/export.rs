//! `export` and `merge`: write a run's model with the adapter merged into the weights, or the
//! adapter alone for HF PEFT.

use std::path::Path;

use anyhow::{Result, bail};
use finetune::evaluation::bytes;
use finetune::folder::{self, Written};
use finetune::weights::{PeftAdapter, locate};

use super::selected::selected;
use super::target::target;
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
    let run = selected(&args.of)?;
    let format = args.format.unwrap_or_else(|| by_ending(&args.out));
    target(&args.out, format, args.overwrite)?;
    let format = match format {
        ExportFormat::Safetensors => folder::ExportFormat::Safetensors,
        ExportFormat::Pth => folder::ExportFormat::Pth,
        ExportFormat::Peft => folder::ExportFormat::Peft,
    };
    for Written { path, bytes } in folder::export(&run, format, args.names.as_deref(), &args.out)? {
        tell(&path, bytes)?;
    }
    Ok(())
}

/// The format that the ending of a file's name promises: `torch.load` reads no safetensors file.
fn by_ending(out: &Path) -> ExportFormat {
    let ending = out.extension().unwrap_or_default().to_string_lossy();
    match ending.to_lowercase().as_str() {
        "pth" | "pt" | "bin" | "ckpt" => ExportFormat::Pth,
        _ => ExportFormat::Safetensors,
    }
}

fn tell(path: &Path, size: u64) -> Result<()> {
    say(&format!("{} ({})", path.display(), bytes(size)))
}
