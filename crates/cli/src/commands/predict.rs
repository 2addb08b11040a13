//! `predict`: the class that each image shows.

use anyhow::Result;
use finetune::FinishedRun;
use finetune::folder::predict as classes_of;
use serde::Serialize;

use crate::flags::{PredictArgs, Selection};
use crate::terminal::output::{say, say_json};

#[derive(Serialize)]
struct Predicted {
    path: String,
    class: String,
    probability: f32,
}

/// `finetune predict`.
///
/// # Errors
///
/// The folder holds no finished run, or an image cannot be decoded.
pub fn predict(args: &PredictArgs) -> Result<()> {
    let Selection { method, epoch } = &args.of.selection;
    let run = FinishedRun::open(&args.of.run, method.as_deref(), *epoch)?;
    let predictions = classes_of(&run, &args.paths)?.into_iter().zip(&args.paths);
    let predictions = predictions.map(|(prediction, path)| Predicted {
        path: path.display().to_string(),
        class: prediction.class,
        probability: prediction.probability,
    });
    if args.printed.json {
        let predictions: Vec<_> = predictions.collect();
        return say_json(&predictions);
    }
    for Predicted {
        path,
        class,
        probability,
    } in predictions
    {
        say(&format!("{path}: {class} ({:.1} %)", 100.0 * probability))?;
    }
    Ok(())
}
