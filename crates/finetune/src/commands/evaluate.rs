//! `evaluate`: a finished run, reloaded from its files and tested again.

use anyhow::{Result, bail};
use finetune_data::{ImageSet, StoredSize, open_test};
use serde::Serialize;

use crate::cli::EvaluateArgs;
use crate::finished::Finished;
use crate::folder::Plan;
use crate::output::{note, say};
use crate::run::stem;

#[derive(Serialize)]
struct Evaluated {
    method: String,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<usize>,
    accuracy: f64,
    macro_f1: f64,
    confusion: Vec<Vec<u64>>,
}

/// `finetune evaluate`.
///
/// # Errors
///
/// A folder that holds no finished run, or files that do not fit.
pub fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let plan = Plan::read_for(&args.run, args.epoch)?;
    let runs = match args.method.as_deref() {
        Some(method) => vec![plan.pick(Some(method))?],
        None => plan.runs.iter().collect(),
    };
    let mut evaluated = Vec::new();
    for config in runs {
        let run = Finished {
            config,
            folder: &args.run,
            with_seed: plan.with_seed,
            epoch: args.epoch,
        };
        run.check()?;
        let test: ImageSet = match &args.data {
            None => config.data.open(config.seed)?.test,
            Some(folder) => open_test(folder)?,
        };
        let preprocess = config.data.preprocess(&config.architecture()?);
        let images = test.prepare(&preprocess, StoredSize::Fitted, &config.data.pipeline)?;
        for broken in &images.skipped {
            note(&format!("left out: {}", broken.reason));
        }
        let trained = run.classes()?;
        if images.classes != trained {
            bail!(
                "the classes of the test images ({}) differ from those the model was trained on ({})",
                images.classes.join(", "),
                trained.join(", ")
            );
        }
        let confusion = run.evaluate(&images, args.merged)?;
        let name = stem(config, plan.with_seed);
        if !args.json {
            say(&format!(
                "{name:>14}: accuracy {:.2} % · macro-F1 {:.3} · {} images",
                100.0 * confusion.accuracy(),
                confusion.macro_f1(),
                confusion.total()
            ))?;
        }
        evaluated.push(Evaluated {
            method: config.method_name().to_owned(),
            seed: config.seed,
            epoch: args.epoch,
            accuracy: confusion.accuracy(),
            macro_f1: confusion.macro_f1(),
            confusion: confusion.rows().to_vec(),
        });
    }
    if args.json {
        say(&serde_json::to_string_pretty(&evaluated)?)?;
    }
    Ok(())
}
