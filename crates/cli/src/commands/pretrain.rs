//! `pretrain`: trains a model from random weights, to be fine-tuned later.

use anyhow::Result;
use finetune::weights::{Pretraining, hash};

use crate::flags::PretrainArgs;
use crate::terminal::output::{note, say};
use crate::terminal::progress::{Progress, Ui};

/// `finetune pretrain`.
///
/// # Errors
///
/// A wrong call, or the images cannot be read, or the file cannot be written.
pub fn pretrain(args: &PretrainArgs) -> Result<()> {
    let mut plan = Pretraining::new(&args.model)?;
    plan.data = finetune_data::sources::typed(&args.data);
    plan.device.clone_from(&args.device);
    plan.recipe.seed = args.seed;
    plan.recipe.epochs = args.epochs.unwrap_or(plan.recipe.epochs);
    plan.recipe.batch_size = args.batch_size.unwrap_or(plan.recipe.batch_size);
    plan.recipe.learning_rate = args.lr.unwrap_or(plan.recipe.learning_rate);
    let ui = Ui::fitting(args.ui)?;
    let mut progress = Progress::new(ui, "pretraining".to_owned(), plan.recipe.epochs);
    let size = plan.run(&args.out, &mut progress)?;
    let hash = hash(&args.out)?;
    let made = format!(
        "{} ({}), SHA-256 {hash}",
        args.out.display(),
        finetune_evaluation::bytes(size)
    );
    if args.part {
        // stdout is that of the command that needs the weights, which may write JSON there.
        note(&made);
        return Ok(());
    }
    say(&made)
}
