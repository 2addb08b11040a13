//! `evaluate`: loads finished runs from their files and tests them again.

use std::collections::HashSet;

use anyhow::Result;
use finetune::evaluation::Confusion;
use finetune::folder::TestImages;
use finetune::run::Phase;
use finetune_data::sources::typed;
use serde::Serialize;

use super::selected::selected_or_all;
use crate::flags::EvaluateArgs;
use crate::terminal::decoding::Decoding;
use crate::terminal::heartbeat::Heartbeat;
use crate::terminal::output::{note, say, say_json};
use crate::terminal::phase::activity;
use crate::terminal::progress::Ui;

/// What lines about decoding begin with.
const TITLE: &str = "evaluate";

#[derive(Serialize)]
struct Evaluated {
    method: String,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<usize>,
    accuracy: f64,
    macro_f1: f64,
    confusion: Vec<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confusion_counts: Option<Confusion>,
}

/// `finetune evaluate`.
///
/// # Errors
///
/// The folder holds no finished run, or its files do not fit each other.
pub fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let runs = selected_or_all(&args.of)?;
    let data = args.data.as_deref().map(typed);
    let mut evaluated = Vec::new();
    let mut said = HashSet::new();
    let on_terminal = Ui::fitting(None)? == Ui::Bar;
    for run in runs {
        let config = run.config();
        let (mut decoding, heartbeat) = (Decoding::new(TITLE, on_terminal), Heartbeat::new(TITLE));
        heartbeat.does(activity(Phase::Images));
        let mut watch = |decoded, images| decoding.show(decoded, images, Some(&heartbeat));
        let TestImages { images, notes } = run.test_images(data.as_deref(), &mut watch)?;
        drop((decoding, heartbeat));
        for text in run.stopped().into_iter().chain(notes) {
            // The runs of a folder have the same images.
            if said.insert(text.clone()) {
                note(&text);
            }
        }
        let confusion = run.evaluate(&images, args.merged)?;
        if !args.printed.json {
            say(&format!(
                "{:>14}: accuracy {:.2} % · macro-F1 {:.3} · {} images",
                run.name(),
                100.0 * confusion.accuracy(),
                confusion.macro_f1(),
                confusion.total()
            ))?;
        }
        let (accuracy, macro_f1) = (confusion.accuracy(), confusion.macro_f1());
        let (confusion, confusion_counts) = confusion.written();
        evaluated.push(Evaluated {
            method: config.method_name().to_owned(),
            seed: config.seed,
            epoch: args.of.selection.epoch,
            accuracy,
            macro_f1,
            confusion,
            confusion_counts,
        });
    }
    if args.printed.json {
        say_json(&evaluated)?;
    }
    Ok(())
}
