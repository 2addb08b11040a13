//! `export` and `merge`: a run's model as one file, its adapter merged into the weights.

use std::path::Path;

use anyhow::{Context, Result};
use finetune_model::{state_dict, state_dict_of, write_pth, write_safetensors};

use crate::cli::{ExportArgs, Format, MergeArgs};
use crate::folder::Plan;
use crate::metadata::Metadata;
use crate::run::{reload, stored_classes};

/// `finetune merge`.
///
/// # Errors
///
/// A folder that holds no finished run, or a file that cannot be written.
pub fn merge(args: &MergeArgs) -> Result<()> {
    export(&ExportArgs {
        run: args.run.clone(),
        method: args.method.clone(),
        format: Format::Safetensors,
        names: None,
        out: args.out.clone(),
    })
}

/// `finetune export`.
///
/// A safetensors file carries the class names and how images are prepared in its metadata; a
/// PyTorch file has them in a JSON file of the same name beside it.
///
/// # Errors
///
/// A folder that holds no finished run, or a file that cannot be written.
pub fn export(args: &ExportArgs) -> Result<()> {
    let plan = Plan::read(&args.run)?;
    let config = plan.pick(args.method.as_deref())?;
    let architecture = config.architecture()?;
    let classes = stored_classes(config, &args.run, plan.with_seed)?;
    let network = reload(config, classes.len(), &args.run, plan.with_seed, false)?;
    let metadata = Metadata::new(&architecture, config.method_name(), classes);
    let tensors = match &args.names {
        Some(library) => state_dict_of(&network, &architecture, library)?,
        None => state_dict(&network, &architecture)?,
    };
    match args.format {
        Format::Safetensors => {
            let size = write_safetensors(tensors, &metadata.to_map()?, &args.out)?;
            tell(&args.out, size);
        }
        Format::Pth => {
            tell(&args.out, write_pth(&tensors, &args.out)?);
            let beside = args.out.with_extension("json");
            let text = serde_json::to_vec_pretty(&metadata)?;
            finetune_evaluation::write_atomically(&beside, &text)
                .with_context(|| format!("cannot write {}", beside.display()))?;
            tell(&beside, text.len() as u64);
        }
    }
    Ok(())
}

fn tell(path: &Path, size: u64) {
    println!("{} ({})", path.display(), finetune_evaluation::bytes(size));
}
