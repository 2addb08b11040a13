//! `predict`: the class that each image shows.

use anyhow::{Result, bail};
use finetune::error::one_line;
use finetune::folder::{Found, Predictor, image_files};
use serde::Serialize;

use super::selected::selected;
use crate::flags::PredictArgs;
use crate::terminal::output::{note, say, say_json};

/// What is known about an image file.
#[derive(Serialize)]
struct Predicted {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `finetune predict`.
///
/// # Errors
///
/// The folder holds no finished run, or an image cannot be decoded; the others are classified first.
pub fn predict(args: &PredictArgs) -> Result<()> {
    let run = selected(&args.of)?;
    let Found { files, others } = image_files(&args.paths)?;
    if others > 0 {
        note(&format!(
            "{others} files without the extension of an image are left out"
        ));
    }
    if files.is_empty() {
        bail!("there are no images in these folders");
    }
    if let Some(text) = run.stopped() {
        note(&text);
    }
    let predictor = Predictor::new(&run)?;
    let mut all = Vec::new();
    let mut failed = 0;
    for file in &files {
        let path = file.display().to_string();
        let predicted = match predictor.predict(file) {
            Ok(prediction) => Predicted {
                path,
                class: Some(prediction.class),
                probability: Some(prediction.probability),
                error: None,
            },
            Err(error) => Predicted {
                path,
                class: None,
                probability: None,
                error: Some(one_line(&error)),
            },
        };
        if let Some(error) = &predicted.error {
            failed += 1;
            note(error);
        }
        if args.printed.json {
            all.push(predicted);
        } else if let (Some(class), Some(share)) = (&predicted.class, predicted.probability) {
            say(&format!(
                "{}: {class} ({:.1} %)",
                predicted.path,
                100.0 * share
            ))?;
        }
    }
    if args.printed.json {
        say_json(&all)?;
    }
    if failed > 0 {
        bail!("{failed} of {} images could not be classified", files.len());
    }
    Ok(())
}
