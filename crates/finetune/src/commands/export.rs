//! `export` and `merge`: a run's model as one file, its adapter merged into the weights; or the
//! adapter alone for HF PEFT.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use finetune_methods::parameters;
use finetune_model::{
    Architecture, Checkpoint, is_peft, load_peft, save_peft, state_dict, state_dict_of, write_pth,
    write_safetensors,
};

use crate::cli::{ExportArgs, ExportFormat, MergeArgs};
use crate::exit::Usage;
use crate::folder::Plan;
use crate::locate::locate;
use crate::metadata::Metadata;
use crate::output::say;

/// `finetune merge`.
///
/// # Errors
///
/// A folder that holds no finished run or adapter, weights that do not fit, or a file that cannot be
/// written.
pub fn merge(args: &MergeArgs) -> Result<()> {
    match (&args.run, &args.adapter) {
        (_, Some(adapter)) => merge_peft(args, adapter),
        (Some(run), None) => export(&ExportArgs {
            run: run.clone(),
            method: args.method.clone(),
            epoch: args.epoch,
            format: ExportFormat::Safetensors,
            names: None,
            out: args.out.clone(),
        }),
        (None, None) => bail!(Usage("give --run or --adapter".to_owned())),
    }
}

/// A PEFT adapter on its base, as one model.
fn merge_peft(args: &MergeArgs, folder: &Path) -> Result<()> {
    if !is_peft(folder) {
        bail!(Usage(format!(
            "{} is no folder of a PEFT adapter: it has no adapter_config.json",
            folder.display()
        )));
    }
    let weights = locate(args.weights.as_deref().unwrap_or_default(), None)?;
    let mut checkpoint = Checkpoint::open(&weights)?;
    let architecture = match &args.model {
        Some(name) => Architecture::find(name)?,
        None => checkpoint.recognize().with_context(|| {
            format!(
                "{} is of no model that is known here; name one with --model",
                weights.display()
            )
        })?,
    };
    let device = Device::flex().autodiff();
    let (attached, method) = load_peft(&mut checkpoint, architecture, folder, &device)?;
    let tensors = state_dict(attached.model(), architecture)?;
    let head = format!("{}.bias", architecture.head);
    let count = parameters(attached.model())
        .into_iter()
        .find(|param| param.path == head)
        .map_or(0, |param| param.shape[0]);
    let classes = if args.classes.is_empty() {
        (0..count).map(|class| class.to_string()).collect()
    } else {
        args.classes.clone()
    };
    if classes.len() != count {
        bail!(Usage(format!(
            "--classes names {} classes, but the model tells {count} apart",
            classes.len()
        )));
    }
    let metadata = Metadata::new(architecture, method.name(), classes);
    let size = write_safetensors(tensors, &metadata.to_map()?, &args.out)?;
    tell(&args.out, size)
}

/// `finetune export`.
///
/// A safetensors file carries the class names and how images are prepared in its metadata; a
/// PyTorch file has them in a JSON file of the same name beside it, a PEFT adapter in its folder.
///
/// # Errors
///
/// A folder that holds no finished run, a method that PEFT has no form for, or a file that cannot be
/// written.
pub fn export(args: &ExportArgs) -> Result<()> {
    let plan = Plan::read_for(&args.run, args.epoch)?;
    let run = plan.finished(&args.run, args.method.as_deref(), args.epoch)?;
    let config = run.config;
    let architecture = config.architecture()?;
    let classes = run.classes()?;
    let count = classes.len();
    let metadata = Metadata::new(&architecture, config.method_name(), classes);
    let tensors = || -> Result<_> {
        let network = run.network(count, false)?;
        Ok(match &args.names {
            Some(library) => state_dict_of(&network, &architecture, library)?,
            None => state_dict(&network, &architecture)?,
        })
    };
    match args.format {
        ExportFormat::Safetensors => {
            let size = write_safetensors(tensors()?, &metadata.to_map()?, &args.out)?;
            tell(&args.out, size)?;
        }
        ExportFormat::Pth => {
            tell(&args.out, write_pth(&tensors()?, &args.out)?)?;
            beside(&metadata, &args.out.with_extension("json"))?;
        }
        ExportFormat::Peft => {
            let Some(network) = run.network_to_train(count)? else {
                bail!(Usage(format!(
                    "{} trains the whole model, there is no adapter; export it as pth",
                    config.method_name()
                )));
            };
            let (method, names) = (&config.method, args.names.as_deref());
            let size = save_peft(&network, method, &architecture, names, &args.out)?;
            tell(&args.out, size)?;
            beside(&metadata, &args.out.join("finetune.json"))?;
        }
    }
    Ok(())
}

/// What a file cannot say about itself, in one beside it.
fn beside(metadata: &Metadata, path: &Path) -> Result<()> {
    let text = serde_json::to_vec_pretty(metadata)?;
    finetune_evaluation::write_atomically(path, &text)
        .with_context(|| format!("cannot write {}", path.display()))?;
    tell(path, text.len() as u64)
}

fn tell(path: &Path, size: u64) -> Result<()> {
    say(&format!(
        "{} ({})",
        path.display(),
        finetune_evaluation::bytes(size)
    ))
}
