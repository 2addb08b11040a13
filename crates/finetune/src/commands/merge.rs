//! `merge`: a run's model with its adapter merged into the weights.

use anyhow::Result;
use finetune_model::save_network;

use crate::cli::MergeArgs;
use crate::folder::Plan;
use crate::metadata::Metadata;
use crate::run::{reload, stored_classes};

/// `finetune merge`.
///
/// # Errors
///
/// A folder that holds no finished run, or a file that cannot be written.
pub fn merge(args: &MergeArgs) -> Result<()> {
    let plan = Plan::read(&args.run)?;
    let config = plan.pick(args.method.as_deref())?;
    let classes = stored_classes(config, &args.run, plan.with_seed)?;
    let network = reload(config, classes.len(), &args.run, plan.with_seed, false)?;
    let metadata = Metadata {
        model: config.model.clone(),
        method: config.method_name().to_owned(),
        classes,
        image_size: config.data.image_size,
        normalization: config.normalization()?,
    };
    let size = save_network(
        &network,
        config.architecture()?,
        &metadata.to_map()?,
        &args.out,
    )?;
    println!(
        "{} ({})",
        args.out.display(),
        finetune_evaluation::bytes(size)
    );
    Ok(())
}
