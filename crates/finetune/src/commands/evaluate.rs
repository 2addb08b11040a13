//! `evaluate`: a finished run, reloaded from its files and tested again.

use anyhow::{Result, bail};
use finetune_data::{ImageSet, Keep, open_test};
use serde::Serialize;

use crate::cli::EvaluateArgs;
use crate::folder::Plan;
use crate::run;

#[derive(Serialize)]
struct Evaluated {
    method: String,
    seed: u64,
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
    let plan = Plan::read(&args.run)?;
    let mut evaluated = Vec::new();
    for config in &plan.runs {
        let test: ImageSet = match &args.data {
            None => config.data.open(config.seed)?.test,
            Some(folder) => open_test(folder)?,
        };
        let preprocess = config.data.preprocess(&config.architecture()?);
        let images = test.prepare(&preprocess, Keep::Fitted, &config.data.pipeline)?;
        for broken in &images.skipped {
            eprintln!("left out: {}", broken.reason);
        }
        let trained = run::stored_classes(config, &args.run, plan.with_seed)?;
        if images.classes != trained {
            bail!(
                "the classes of the test images ({}) differ from those the model was trained on ({})",
                images.classes.join(", "),
                trained.join(", ")
            );
        }
        let confusion = run::reevaluate(config, &images, &args.run, plan.with_seed, args.merged)?;
        let name = run::stem(config, plan.with_seed);
        if !args.json {
            println!(
                "{name:>14}: accuracy {:.2} % · macro-F1 {:.3} · {} images",
                100.0 * confusion.accuracy(),
                confusion.macro_f1(),
                confusion.total()
            );
        }
        evaluated.push(Evaluated {
            method: config.method_name().to_owned(),
            seed: config.seed,
            accuracy: confusion.accuracy(),
            macro_f1: confusion.macro_f1(),
            confusion: confusion.rows().to_vec(),
        });
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&evaluated)?);
    }
    Ok(())
}
