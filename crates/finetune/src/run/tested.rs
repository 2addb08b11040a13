//! What a run's answers to the test images say, for the report.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn::tensor::Device;
use finetune_data::Images;
use finetune_evaluation::{Answer, Confusion, Mistake, Probabilities, Run, Scores, outcomes};
use finetune_model::Network;
use finetune_training::Predictions;

use super::confusion::{counted, predictions};
use super::job::{Job, Trial};
use crate::config::Decoded;
use crate::error::Error;

/// Mistakes that a report has of a run.
const MISTAKES: usize = 12;

/// Longest side of the pictures of mistakes, pixels.
const SIDE: usize = 96;

/// Tests a run's model, and returns what the report says of that.
///
/// # Errors
///
/// An image cannot be read.
pub(super) fn test(
    job: &Job<'_>,
    data: &Decoded,
    model: &Network,
    device: &Device,
) -> Result<Run, Error> {
    // Test images are looked at once, by the runs that count.
    let (images, names) = match (job.trial, &data.valid) {
        (Some(Trial::Validation), Some(valid)) => (valid, &[][..]),
        _ => (&data.test, data.test_names.as_slice()),
    };
    let start = Instant::now();
    let seen = predictions(model, images, job.config, device)?;
    let seconds = start.elapsed().as_secs_f64();
    let confusion = counted(images, &seen)?;
    let run = Run {
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        per_class_accuracy: confusion.per_class_accuracy(),
        outcomes: Some(answered(&seen)),
        scores: scores(&confusion, &seen),
        mistakes: mistakes(&seen, images, names)?,
        test_seconds: Some(seconds),
        ..Run::default()
    };
    let (confusion, confusion_counts) = confusion.written();
    Ok(Run {
        confusion,
        confusion_counts,
        ..run
    })
}

/// Which of the test images were classified correctly, as the report has it.
fn answered(seen: &Predictions) -> String {
    let both = seen.truth.iter().zip(&seen.predicted);
    outcomes(both.map(|(truth, predicted)| truth == predicted))
}

/// The metrics that follow from probabilities; `None` without test images.
fn scores(confusion: &Confusion, seen: &Predictions) -> Option<Scores> {
    let answers = seen.answers.iter().map(|answer| Answer {
        confidence: answer.confidence,
        of_truth: answer.of_truth,
        rank: answer.rank,
    });
    let answers: Vec<Answer> = answers.collect();
    Scores::of(confusion, &Probabilities::from(answers))
}

/// The mistakes that the model is most confident of, with pictures. `names` are those of the images.
///
/// # Errors
///
/// An image cannot be read.
fn mistakes(seen: &Predictions, images: &Images, names: &[String]) -> Result<Vec<Mistake>, Error> {
    let wrong = seen.truth.iter().zip(&seen.predicted).enumerate();
    let mut wrong: Vec<usize> = wrong
        .filter(|(_, (truth, predicted))| truth != predicted)
        .map(|(index, _)| index)
        .collect();
    let confidence = |index: usize| {
        seen.answers
            .get(index)
            .map_or(0.0, |answer| answer.confidence)
    };
    wrong.sort_by(|a, b| confidence(*b).total_cmp(&confidence(*a)).then(a.cmp(b)));
    wrong.truncate(MISTAKES);
    let mistake = |index: usize| -> Result<Mistake, Error> {
        Ok(Mistake {
            image: names.get(index).cloned().unwrap_or_default(),
            truth: seen.truth[index],
            predicted: seen.predicted[index],
            probability: confidence(index).into(),
            picture: STANDARD.encode(images.thumbnail(index, SIDE)?),
        })
    };
    wrong.into_iter().map(mistake).collect()
}
